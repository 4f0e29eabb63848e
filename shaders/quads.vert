// Photo thumbnails on the frusta's image planes, all from one atlas.
#include "common/camera.glsl"
attribute vec3 a_pos_w;
attribute vec2 a_uv;
attribute float a_loaded;
varying vec2 v_uv;
varying float v_loaded;
varying float v_depth;

void main()
{
    gl_Position = to_clip(a_pos_w);
    v_depth = gl_Position.w / u_far;
    v_uv = a_uv;
    v_loaded = a_loaded;
}
