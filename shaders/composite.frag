// Puts the marched picture on screen with its depth for what follows, and heat over it.
// EXACT: the picture has the screen's size. Otherwise it is enlarged.
#include "common/backdrop.glsl"

varying vec2 v_uv;
uniform sampler2D u_marched;
uniform vec2 u_marched_px; // its size
uniform float u_has_volume;
uniform float u_far;
#ifdef HEAT
uniform sampler2D u_hot; // what heat.frag drew
uniform float u_dim;     // how much what is not hot steps back
#endif

void main()
{
    if (u_has_volume < 0.5)
    {
        gl_FragColor = vec4(backdrop(v_uv), 1.0);
        gl_FragDepth = 1.0;
        return;
    }
    vec4 marched = texture2D(u_marched, v_uv);
    vec3 c = marched.rgb;
    float z = marched.a;
#ifndef EXACT
    // depth must not be blended across an edge: take the nearest sample
    z = texture2D(u_marched, (floor(v_uv * u_marched_px) + 0.5) / u_marched_px).a;
#endif
#ifdef HEAT
    float there = step(1e-6, abs(z));
    vec4 hot = texture2D(u_hot, v_uv) * there;
    float back = u_dim * there;
    c = mix(c, vec3(dot(c, vec3(0.299, 0.587, 0.114))), 0.45 * back) * (1.0 - 0.32 * back);
    c = c * (1.0 - hot.a) + hot.rgb;
#endif
    gl_FragColor = vec4(c, 1.0);
    gl_FragDepth = z > 0.0 ? clamp(z / u_far, 0.0, 1.0) : 1.0;
}
