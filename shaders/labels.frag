// Labels where each ray's light is half gone, in their colours, and what is selected in the accent with a light rim. A
// picture of its own, as heat.frag's.
varying vec2 v_uv;
uniform sampler2D u_marched;   // not smooth: depth must not be blended across an edge
uniform sampler3D u_labels;    // colour * labelled, labelled
uniform sampler3D u_selected;  // 1 where selected
uniform vec3 u_eye_h;          // the eye and rays as in volume.frag, in the textures' coordinates
uniform mat3 u_ray_h;
uniform float u_voxel_z;       // a voxel of the labels, in camera z
uniform float u_opacity;
uniform vec3 u_accent;

void main()
{
    float z = abs(texture2D(u_marched, v_uv).a);
    vec3 ray = u_ray_h * vec3(v_uv.x, 1.0 - v_uv.y, 1.0);
    vec3 p = u_eye_h + ray * z;
    vec3 behind = p + ray * u_voxel_z; // the light may be gone just before the first voxel's centre
    vec4 s = texture3D(u_labels, p.zyx) + texture3D(u_labels, behind.zyx);
    float a = smoothstep(0.3, 0.6, s.a) * u_opacity;
    vec3 label = s.rgb / max(s.a, 0.02);
    float lit = texture3D(u_selected, p.zyx).r + texture3D(u_selected, behind.zyx).r;
    float m = smoothstep(0.3, 0.6, lit);
    float rim = m * (1.0 - smoothstep(0.7, 1.2, lit));
    vec3 c = mix(mix(label, u_accent, m), vec3(1.0), 0.6 * rim);
    gl_FragColor = vec4(c, 1.0) * max(a * (1.0 - m), m * (0.62 + 0.25 * rim));
}
