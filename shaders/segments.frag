varying vec4 v_rgba;
varying float v_across_px;
varying float v_half_px;
varying float v_depth;
uniform float u_opacity;

void main()
{
    float cover = clamp(v_half_px + 0.5 - abs(v_across_px), 0.0, 1.0);
    if (cover <= 0.0)
        discard;
    gl_FragDepth = clamp(v_depth, 0.0, 1.0);
    gl_FragColor = vec4(v_rgba.rgb, v_rgba.a * cover * u_opacity);
}
