// A line of constant width in pixels: four corners per segment, spread across it on screen.
#include "common/camera.glsl"
attribute vec3 a_start_w;
attribute vec3 a_end_w;
attribute vec4 a_rgba;
attribute vec3 a_corner; // along (0 or 1), across (-1 or 1), width in logical pixels
uniform vec2 u_viewport_px;
uniform float u_pixel_ratio;
uniform float u_near;
uniform float u_pull; // as in markers.vert
varying vec4 v_rgba;
varying float v_across_px;
varying float v_half_px;
varying float v_depth;

void main()
{
    vec4 a = u_clip * vec4(a_start_w, 1.0);
    vec4 b = u_clip * vec4(a_end_w, 1.0);
    // what lies behind the eye is cut at u_near, or the line would turn round
    if (a.w < u_near && b.w > u_near)
        a = mix(a, b, (u_near - a.w) / (b.w - a.w));
    else if (b.w < u_near && a.w > u_near)
        b = mix(b, a, (u_near - b.w) / (a.w - b.w));
    vec4 q = mix(a, b, a_corner.x);
    if (q.w < u_near * 0.5)
    {
        gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
        return;
    }
    vec2 along = (b.xy / b.w - a.xy / a.w) * u_viewport_px;
    float size = length(along);
    along = size > 1e-6 ? along / size : vec2(1.0, 0.0);
    v_half_px = 0.5 * a_corner.z * u_pixel_ratio;
    v_across_px = a_corner.y * (v_half_px + 1.0);
    q.xy += vec2(-along.y, along.x) * v_across_px * 2.0 / u_viewport_px * q.w;
    v_depth = (q.w - u_pull) / u_far;
    q.z = (2.0 * v_depth - 1.0) * q.w;
    v_rgba = a_rgba;
    gl_Position = q;
}
