// Heat where each ray's light is half gone: its colour times how hot, and how hot. A picture of its own, smaller than the
// screen, so that another answer or threshold needs no march and software GL looks few of its pixels up in 3D.
varying vec2 v_uv;
uniform sampler2D u_marched; // not smooth: depth must not be blended across an edge
uniform sampler3D u_heat;  // (heat * occupied, occupied)
uniform sampler2D u_map;   // colour map of heat
uniform vec3 u_eye_h;      // the eye and rays as in volume.frag, in the heat texture's coordinates
uniform mat3 u_ray_h;
uniform float u_voxel_z;   // a voxel of the heat, in camera z
uniform float u_heat_opacity;
uniform float u_threshold;

void main()
{
    float z = abs(texture2D(u_marched, v_uv).a);
    vec3 ray = u_ray_h * vec3(v_uv.x, 1.0 - v_uv.y, 1.0);
    vec3 p = u_eye_h + ray * z;
    vec3 behind = p + ray * u_voxel_z; // the light may be gone just before the first voxel's centre
    vec2 s = texture3D(u_heat, p.zyx).ra + texture3D(u_heat, behind.zyx).ra;
    float h = s.x / max(s.y, 0.02);
    float hot = smoothstep(u_threshold, min(u_threshold + 0.18, 1.0), h) * u_heat_opacity;
    gl_FragColor = vec4(texture2D(u_map, vec2(h, 0.5)).rgb, 1.0) * hot;
}
