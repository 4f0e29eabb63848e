// Prompts where each ray's light is half gone: each in its colour as far as it is over its threshold. A picture of its
// own, as heat.frag's, so that a moved threshold is one cheap pass.
varying vec2 v_uv;
uniform sampler2D u_marched; // not smooth: depth must not be blended across an edge
uniform sampler3D u_first;  // relevancies of three prompts * occupied, occupied
uniform mat3 u_first_colours;
uniform vec3 u_first_from;  // thresholds
uniform vec3 u_first_softness;
#ifdef SECOND
uniform sampler3D u_second;
uniform mat3 u_second_colours;
uniform vec3 u_second_from;
uniform vec3 u_second_softness;
#endif
uniform vec3 u_eye_h;       // the eye and rays as in volume.frag, in the textures' coordinates
uniform mat3 u_ray_h;
uniform float u_voxel_z;    // a voxel of the relevancies, in camera z
uniform float u_opacity;

vec3 over(sampler3D relevancies, vec3 p, vec3 behind, vec3 from, vec3 softness)
{
    vec4 s = texture3D(relevancies, p.zyx) + texture3D(relevancies, behind.zyx);
    vec3 r = s.rgb / max(s.a, 0.02);
    return smoothstep(from, min(from + softness, vec3(1.0)) + 1e-4, r) * (0.55 + 0.45 * r);
}

void main()
{
    float z = abs(texture2D(u_marched, v_uv).a);
    vec3 ray = u_ray_h * vec3(v_uv.x, 1.0 - v_uv.y, 1.0);
    vec3 p = u_eye_h + ray * z;
    vec3 behind = p + ray * u_voxel_z; // the light may be gone just before the first voxel's centre
    vec3 a = over(u_first, p, behind, u_first_from, u_first_softness);
    vec3 colour = u_first_colours * a;
    float total = a.x + a.y + a.z;
    float most = max(a.x, max(a.y, a.z));
#ifdef SECOND
    vec3 b = over(u_second, p, behind, u_second_from, u_second_softness);
    colour += u_second_colours * b;
    total += b.x + b.y + b.z;
    most = max(most, max(b.x, max(b.y, b.z)));
#endif
    gl_FragColor = vec4(colour / max(total, 1e-4), 1.0) * most * u_opacity;
}
