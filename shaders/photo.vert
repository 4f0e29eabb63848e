attribute vec2 a_corner;  // 0..1, y down the photo
uniform vec4 u_rect_ndc;  // left, top, right, bottom
varying vec2 v_uv;

void main()
{
    v_uv = a_corner;
    gl_Position = vec4(mix(u_rect_ndc.xy, u_rect_ndc.zw, a_corner), 0.0, 1.0);
}
