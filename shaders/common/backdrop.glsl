// The quiet gradient behind everything; v runs from 0 (bottom) to 1 (top).
uniform vec3 u_backdrop_low;
uniform vec3 u_backdrop_high;

// One step of an ordered pattern, which hides the 8-bit bands.
float dither()
{
    return (fract(52.9829189 * fract(dot(gl_FragCoord.xy, vec2(0.06711056, 0.00583715)))) - 0.5) / 255.0;
}

vec3 backdrop(vec2 uv)
{
    vec2 d = uv - vec2(0.5, 0.55);
    float vignette = 1.0 - 0.35 * dot(d, d);
    vec3 rgb = mix(u_backdrop_low, u_backdrop_high, smoothstep(0.0, 1.0, uv.y)) * vignette;
    return rgb + dither();
}
