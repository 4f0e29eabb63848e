attribute vec2 a_corner; // 0..1
uniform vec2 u_band;     // which part of the height is drawn, 0 = bottom
varying vec2 v_uv;       // 0..1 over the whole picture, y up

void main()
{
    v_uv = vec2(a_corner.x, mix(u_band.x, u_band.y, a_corner.y));
    gl_Position = vec4(v_uv * 2.0 - 1.0, 0.0, 1.0);
}
