// Round marks of constant size on screen: a filled disc or a ring, with a rim that reads on any ground.
#include "common/camera.glsl"
attribute vec3 a_pos_w;
attribute vec4 a_rgba;
attribute vec2 a_shape; // diameter in logical pixels; 1 = filled, 0 = ring
uniform float u_pixel_ratio;
uniform float u_pull; // world units that marks are drawn nearer than they lie, so that their own surface shows them
varying vec4 v_rgba;
varying float v_filled;
varying float v_size_px;

void main()
{
    gl_Position = to_clip(a_pos_w);
    gl_Position.z = (2.0 * (gl_Position.w - u_pull) / u_far - 1.0) * gl_Position.w;
    v_size_px = (a_shape.x + 4.0) * u_pixel_ratio;
    gl_PointSize = v_size_px;
    v_rgba = a_rgba;
    v_filled = a_shape.y;
}
