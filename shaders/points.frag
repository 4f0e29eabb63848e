varying vec4 v_rgba;
uniform float u_opacity;

void main()
{
    vec2 d = gl_PointCoord - 0.5;
    if (dot(d, d) > 0.25)
        discard;
    gl_FragColor = vec4(v_rgba.rgb, v_rgba.a * u_opacity);
}
