varying vec2 v_uv;
varying float v_loaded;
varying float v_depth;
uniform sampler2D u_atlas;
uniform float u_opacity;
uniform float u_far;
uniform float u_focus; // camera z of what is looked at: photos well in front of it would hide it

void main()
{
    if (v_loaded < 0.5)
        discard;
    float faint = mix(0.08, 1.0, smoothstep(0.35, 0.75, v_depth * u_far / u_focus));
    gl_FragDepth = clamp(v_depth, 0.0, 1.0);
    gl_FragColor = vec4(texture2D(u_atlas, v_uv).rgb, u_opacity * faint);
}
