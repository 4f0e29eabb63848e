// Puts the marched picture on screen, enlarging it where it was drawn smaller, with its depth for what follows. Heat is
// looked up here, where each ray's light is half gone, so that another answer or threshold needs no march.
#include "common/backdrop.glsl"

varying vec2 v_uv;
uniform sampler2D u_marched;
uniform vec2 u_marched_px; // its size
uniform float u_has_volume;
uniform float u_far;
#ifdef HEAT
uniform sampler3D u_heat;  // (heat * occupied, occupied)
uniform sampler2D u_map;   // colour map of heat
uniform vec3 u_eye_h;      // the eye and rays as in volume.frag, in the heat texture's coordinates
uniform mat3 u_ray_h;
uniform float u_voxel_z;   // a voxel of the heat, in camera z
uniform float u_heat_opacity;
uniform float u_threshold;
uniform float u_dim;       // how much what is not hot steps back

vec3 heated(vec3 c, float z)
{
    vec3 ray = u_ray_h * vec3(v_uv.x, 1.0 - v_uv.y, 1.0);
    vec3 p = u_eye_h + ray * z;
    vec3 behind = p + ray * u_voxel_z; // the light may be gone just before the first voxel's centre
    vec2 s = texture3D(u_heat, p.zyx).ra + texture3D(u_heat, behind.zyx).ra;
    float h = s.x / max(s.y, 0.02);
    float hot = smoothstep(u_threshold, min(u_threshold + 0.18, 1.0), h) * u_heat_opacity;
    float grey = dot(c, vec3(0.299, 0.587, 0.114));
    c = mix(c, vec3(grey), 0.45 * u_dim) * (1.0 - 0.32 * u_dim);
    return mix(c, texture2D(u_map, vec2(h, 0.5)).rgb, hot);
}
#endif

void main()
{
    if (u_has_volume < 0.5)
    {
        gl_FragColor = vec4(backdrop(v_uv), 1.0);
        gl_FragDepth = 1.0;
        return;
    }
    vec3 c = texture2D(u_marched, v_uv).rgb;
    // depth must not be blended across an edge: take the nearest sample
    float z = texture2D(u_marched, (floor(v_uv * u_marched_px) + 0.5) / u_marched_px).a;
#ifdef HEAT
    c = mix(c, heated(c, abs(z)), step(1e-6, abs(z)));
#endif
    gl_FragColor = vec4(c, 1.0);
    gl_FragDepth = z > 0.0 ? clamp(z / u_far, 0.0, 1.0) : 1.0;
}
