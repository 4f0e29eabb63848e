varying vec2 v_uv;
uniform sampler2D u_photo;
uniform float u_opacity;

void main()
{
    gl_FragColor = vec4(texture2D(u_photo, v_uv).rgb, u_opacity);
}
