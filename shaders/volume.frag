// Emission-absorption march through the radiance grid, front to back:
//   C = sum_j T_j a_j c_j,  T_{j+1} = T_j (1 - a_j),  a_j = 1 - (1 - a)^(step / voxel)
// Positions are in voxel units (suffix _v) and rays are scaled so that t is camera z.
// Output: colour over the backdrop, and in alpha the camera z where half the light is gone (0: nowhere; negative where
// the volume is too faint to hide what lies behind it).
#include "common/backdrop.glsl"

varying vec2 v_uv;

uniform sampler3D u_colour; // rgb * a, a
uniform sampler3D u_cells;  // per coarse cell: side it was seen from * 0.5 + 0.5; distance to the nearest occupied / 255

uniform vec3 u_eye_v;
uniform mat3 u_ray_v;     // (u, v, 1), v down, to a direction of unit camera z
uniform vec3 u_dims;
uniform vec3 u_clip_lo;   // what is outside is hidden; without a clip box, 0 and u_dims
uniform vec3 u_clip_hi;
uniform vec3 u_coarse_dims;
uniform float u_cell;     // voxels along a coarse cell's edge
uniform float u_step;     // voxels
uniform float u_opacity;
uniform float u_cutaway;  // 1: hide surfaces that no camera sees from this side

float hash(vec2 p) { return fract(52.9829189 * fract(dot(p, vec2(0.06711056, 0.00583715)))); }

void main()
{
    vec3 o = u_eye_v;
    vec3 d = u_ray_v * vec3(v_uv.x, 1.0 - v_uv.y, 1.0);
    vec3 far_away = vec3(1e-9);
    d = mix(d, far_away, vec3(lessThan(abs(d), far_away)));
    vec3 inv = 1.0 / d;
    vec3 t_a = (u_clip_lo - o) * inv;
    vec3 t_b = (u_clip_hi - o) * inv;
    vec3 t_lo = min(t_a, t_b);
    vec3 t_hi = max(t_a, t_b);
    float t = max(max(t_lo.x, t_lo.y), max(t_lo.z, 0.0));
    float t_end = min(min(t_hi.x, t_hi.y), t_hi.z);
    float speed = length(d);
    float dt = u_step / speed;
    vec3 to_eye = -d / speed;
    vec3 ahead = step(vec3(0.0), d);
    float nudge = 0.02 / speed;

    vec3 rgb = vec3(0.0);
    float light = 1.0;
    float depth = 0.0;
    t += dt * hash(gl_FragCoord.xy);
    for (int i = 0; i < MAX_SAMPLES; i++)
    {
        // Leaps have a loop of their own: software GL runs both sides of a branch, but leaves a loop when all are done.
        vec4 cell;
        vec3 p;
        float sight = 1.0;
        for (int j = 0; j < MAX_LEAPS; j++)
        {
            p = o + d * t;
            vec3 at = floor(p / u_cell);
            cell = texture3D(u_cells, (at + 0.5).zyx / u_coarse_dims.zyx);
            float leap = floor(cell.a * 255.0 + 0.5);
            sight = smoothstep(-0.22, -0.04, dot(cell.xyz * 2.0 - 1.0, to_eye)) + 1.0 - u_cutaway;
            leap = sight <= 0.0 ? max(leap, 1.0) : leap;
            if (leap < 0.5 || t >= t_end)
                break;
            vec3 edge = (at + mix(vec3(1.0 - leap), vec3(leap), ahead)) * u_cell;
            vec3 t_edge = (edge - o) * inv;
            t = max(t, min(min(t_edge.x, t_edge.y), t_edge.z)) + nudge;
        }
        if (t >= t_end)
            break;
        vec4 s = texture3D(u_colour, p.zyx / u_dims.zyx);
        float a = (1.0 - pow(max(1.0 - s.a, 1e-4), u_step)) * min(sight, 1.0);
        vec3 c = s.rgb / max(s.a, 0.004);
        rgb += light * a * c;
        light *= 1.0 - a;
        if (depth == 0.0 && light < 0.5)
            depth = t;
        if (light < 0.015)
            break;
        t += dt;
    }
    float shown = (1.0 - light) * u_opacity;
    rgb = light < 1.0 ? rgb / (1.0 - light) : rgb;
    gl_FragColor = vec4(mix(backdrop(v_uv), rgb, shown), u_opacity > 0.5 ? depth : -depth);
}
