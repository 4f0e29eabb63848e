varying vec4 v_rgba;
varying float v_across_px;
varying float v_half_px;
varying float v_depth;
uniform float u_opacity;
uniform float u_far;
uniform float u_focus; // camera z; lines well in front of it are faint. 0: none are

void main()
{
    float cover = clamp(v_half_px + 0.5 - abs(v_across_px), 0.0, 1.0);
    if (cover <= 0.0)
        discard;
    float faint = u_focus > 0.0 ? mix(0.3, 1.0, smoothstep(0.35, 0.75, v_depth * u_far / u_focus)) : 1.0;
    gl_FragDepth = clamp(v_depth, 0.0, 1.0);
    gl_FragColor = vec4(v_rgba.rgb, v_rgba.a * cover * u_opacity * faint);
}
