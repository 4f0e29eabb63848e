#include "common/camera.glsl"
attribute vec3 a_pos_w;
attribute vec4 a_rgba;
uniform float u_size_w;   // diameter, world units
uniform float u_focal_px; // physical pixels
uniform vec2 u_size_px;   // least and most, physical pixels
varying vec4 v_rgba;

void main()
{
    gl_Position = to_clip(a_pos_w);
    gl_PointSize = clamp(u_size_w * u_focal_px / max(gl_Position.w, 1e-6), u_size_px.x, u_size_px.y);
    v_rgba = a_rgba;
}
