varying vec2 v_uv;
varying float v_loaded;
varying float v_depth;
uniform sampler2D u_atlas;
uniform float u_opacity;

void main()
{
    if (v_loaded < 0.5)
        discard;
    gl_FragDepth = clamp(v_depth, 0.0, 1.0);
    gl_FragColor = vec4(texture2D(u_atlas, v_uv).rgb, u_opacity);
}
