varying vec2 v_uv;
uniform sampler2D u_photo;
#ifndef INK
uniform float u_opacity;
#endif

void main()
{
#ifdef INK
    gl_FragColor = texture2D(u_photo, v_uv); // premultiplied
#else
    gl_FragColor = vec4(texture2D(u_photo, v_uv).rgb, u_opacity);
#endif
}
