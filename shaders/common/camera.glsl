// World to clip for a pinhole of any principal point. Depth is linear in camera z, so that a 16-bit buffer suffices.
uniform mat4 u_clip; // rows give (x_clip, y_clip, 0, z_c) of a world point
uniform float u_far; // camera z that maps to depth 1

vec4 to_clip(vec3 pos_w)
{
    vec4 q = u_clip * vec4(pos_w, 1.0);
    q.z = (2.0 * q.w / u_far - 1.0) * q.w;
    return q;
}
