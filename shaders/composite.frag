// Puts the marched picture on screen with its depth for what follows, and what lies over it.
// PAINT: colour alone, of a picture smaller than the screen. ENLARGE: such a painted picture on screen. Otherwise both
// at once, of a picture of the screen's size.
#include "common/backdrop.glsl"

varying vec2 v_uv;
uniform sampler2D u_marched; // smooth for PAINT; otherwise not, as depth must not be blended across an edge
#ifdef ENLARGE
uniform sampler2D u_painted;
#endif
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
#ifndef PAINT
        gl_FragDepth = 1.0;
#endif
        return;
    }
    vec4 marched = texture2D(u_marched, v_uv);
    float z = marched.a;
#ifdef ENLARGE
    vec3 c = texture2D(u_painted, v_uv).rgb + dither();
#else
    vec3 c = marched.rgb;
#endif
#ifdef HEAT
    float there = step(1e-6, abs(z));
    vec4 hot = texture2D(u_hot, v_uv) * there;
    float back = u_dim * there;
    c = mix(c, vec3(dot(c, vec3(0.299, 0.587, 0.114))), 0.45 * back) * (1.0 - 0.32 * back);
    c = c * (1.0 - hot.a) + hot.rgb;
#endif
    gl_FragColor = vec4(c, 1.0);
#ifndef PAINT
    gl_FragDepth = z > 0.0 ? clamp(z / u_far, 0.0, 1.0) : 1.0;
#endif
}
