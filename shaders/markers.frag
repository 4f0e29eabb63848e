varying vec4 v_rgba;
varying float v_filled;
varying float v_size_px;
uniform vec3 u_rim;
uniform float u_pixel_ratio;

void main()
{
    float r = length(gl_PointCoord - 0.5) * v_size_px;
    float outer = 0.5 * v_size_px - 0.5;
    float rim = 1.5 * u_pixel_ratio;
    float inside = clamp(outer - r + 0.5, 0.0, 1.0);
    float body = clamp(outer - rim - r + 0.5, 0.0, 1.0);
    float hole = v_filled > 0.5 ? 0.0 : clamp(outer - 2.4 * rim - r + 0.5, 0.0, 1.0);
    float inner_rim = v_filled > 0.5 ? 0.0 : clamp(outer - 3.0 * rim - r + 0.5, 0.0, 1.0);
    vec3 rgb = mix(u_rim, v_rgba.rgb, body * (1.0 - hole));
    float alpha = (inside - inner_rim) * v_rgba.a;
    if (alpha <= 0.0)
        discard;
    gl_FragColor = vec4(rgb, alpha);
}
