// Puts the marched picture on screen, enlarging it where it was drawn smaller, with its depth for what follows.
#include "common/backdrop.glsl"

varying vec2 v_uv;
uniform sampler2D u_marched;
uniform vec2 u_marched_px; // its size
uniform float u_has_volume;
uniform float u_far;

void main()
{
    if (u_has_volume < 0.5)
    {
        gl_FragColor = vec4(backdrop(v_uv), 1.0);
        gl_FragDepth = 1.0;
        return;
    }
    gl_FragColor = vec4(texture2D(u_marched, v_uv).rgb, 1.0);
    // depth must not be blended across an edge: take the nearest sample
    float z = texture2D(u_marched, (floor(v_uv * u_marched_px) + 0.5) / u_marched_px).a;
    gl_FragDepth = z > 0.0 ? clamp(z / u_far, 0.0, 1.0) : 1.0;
}
