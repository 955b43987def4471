"""The sources of the compositing shaders (GLSL 3.30); `tone_mapping.py` describes what they compute."""

from __future__ import annotations

from tpos_live.display.tone_mapping import FAINT, GRAIN_STEP, KNEE, LUMA, SPILL, TILE, TOE

TRIANGLE = """#version 330 core
void main() {
    vec2 corner = vec2((gl_VertexID << 1) & 2, gl_VertexID & 2);
    gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
}
"""

ENLARGE = """#version 330 core
// Cubic convolution along one axis by an integer factor; the weights of each phase come from tone_mapping.py.
uniform sampler2D image;
uniform ivec2 axis;
uniform int factor;
uniform vec4 weights[4];
uniform int first[4];
out vec4 colour;
void main() {
    ivec2 at = ivec2(gl_FragCoord.xy);
    int along = at.x * axis.x + at.y * axis.y;
    int phase = along % factor;
    ivec2 base = at * (1 - axis) + axis * (along / factor + first[phase]);
    ivec2 last = textureSize(image, 0) - 1;
    vec4 w = weights[phase];
    vec3 sum = w.x * texelFetch(image, clamp(base, ivec2(0), last), 0).rgb;
    sum += w.y * texelFetch(image, clamp(base + axis, ivec2(0), last), 0).rgb;
    sum += w.z * texelFetch(image, clamp(base + 2 * axis, ivec2(0), last), 0).rgb;
    sum += w.w * texelFetch(image, clamp(base + 3 * axis, ivec2(0), last), 0).rgb;
    colour = vec4(sum, 1.0);
}
"""

PRESENT = """#version 330 core
// The composed frame on the window (window_view.py): its matrices place and turn; boxes: left, top, width, height.
uniform sampler2D image;
uniform sampler2D over;
uniform vec2 window;
uniform mat3 place;
uniform mat3 turn;
uniform vec4 part;
uniform vec4 over_box;
uniform vec4 edges;
uniform float gamma;
uniform float black;
out vec4 colour;
bool outside(vec2 at) {
    return any(lessThan(at, vec2(0.0))) || any(greaterThan(at, vec2(1.0)));
}
void main() {
    vec3 shown = place * vec3(gl_FragCoord.x / window.x, 1.0 - gl_FragCoord.y / window.y, 1.0);
    vec2 at = shown.xy / shown.z;
    colour = vec4(0.0, 0.0, 0.0, 1.0);
    if (shown.z <= 0.0 || outside(at)) return;
    vec2 inframe = part.xy + part.zw * (turn * vec3(at, 1.0)).xy;
    vec3 light = textureLod(image, inframe, 0.0).rgb;
    vec2 above = (inframe - over_box.xy) / over_box.zw;
    if (!outside(above)) {
        vec4 drawn = textureLod(over, above, 0.0);
        light = light * (1.0 - drawn.a) + drawn.rgb;
    }
    // The soft edges of two images that overlap add up to 1 in linear light.
    vec4 near = clamp(vec4(at, 1.0 - at) / max(edges, vec4(1e-6)), 0.0, 1.0);
    vec4 smooth_near = near * near * (3.0 - 2.0 * near);
    float soft = smooth_near.x * smooth_near.y * smooth_near.z * smooth_near.w;
    light = pow(light, vec3(gamma)) * pow(soft, 1.0 / 2.2);
    float lift = soft < 1.0 ? 0.0 : black;  // the black of images that overlap adds up
    colour.rgb = lift + (1.0 - lift) * light;
}
"""

_COMPOSE = """
uniform sampler2D newest;
uniform sampler2D noise;
uniform vec2 origin;
uniform vec4 matrix;
uniform vec2 shift;
uniform vec2 pan_new;
uniform ivec2 noise_at;
uniform mat3 light_colour;
uniform float saturation;
uniform float shoulder;
uniform float level;
uniform float grain;
#ifdef BLEND
uniform sampler2D oldest;
uniform vec2 pan_old;
uniform float blend;
uniform vec3 mean;
uniform float contrast;
#endif
#ifdef BLOOM
uniform sampler2D bloom_new;
uniform float bloom;
#ifdef BLEND
uniform sampler2D bloom_old;
#endif
#endif
#ifdef DETAIL
uniform sampler2D turbulence;
uniform vec2 detail_scale;
uniform vec2 detail_start;
uniform vec2 detail_reach;
uniform vec2 detail_turn;
#endif
out vec4 colour;
void main() {
    vec2 p = gl_FragCoord.xy - origin;
    vec2 uv = vec2(dot(matrix.xy, p), dot(matrix.zw, p)) + shift;
    vec2 at = uv;
#ifdef DETAIL
    vec4 field = texture(turbulence, uv * detail_scale - detail_start);
    at += detail_reach * (field.xy * detail_turn.x + field.zw * detail_turn.y);
#endif
    vec3 v = texture(newest, at - pan_new).rgb;
#ifdef BLEND
    v = mix(texture(oldest, at - pan_old).rgb, v, blend);
    v = mean + (v - mean) * contrast;
#endif
    v = max(v, 0.0);
    float luminance = dot(LUMA, v * (v + 2.0 * TOE) / (1.0 + 2.0 * TOE));
    v = clamp(mix(vec3(dot(LUMA, v)), v, saturation), 0.0, 1.0);
    vec3 light = v * (v + 2.0 * TOE) / (1.0 + 2.0 * TOE);
    light *= (luminance + FAINT) / (dot(LUMA, light) + FAINT);
#ifdef BLOOM
    vec3 spilled = texture(bloom_new, uv - pan_new).rgb;
#ifdef BLEND
    spilled = mix(texture(bloom_old, uv - pan_new).rgb, spilled, blend);
#endif
    light += bloom * spilled * (1.0 - light);
#endif
    light = max(light_colour * light, 0.0);
    float top = max(light.r, max(light.g, light.b));
    float over = max(top - KNEE, 0.0);
    float lost = over * over * shoulder / (1.0 + over * shoulder);
    light *= 1.0 - lost / max(top, KNEE);
    light = min(mix(light, vec3(top - lost), 1.0 - 1.0 / (1.0 + SPILL * lost)), 1.0);
    v = sqrt(light * (1.0 + 2.0 * TOE) + TOE * TOE) - TOE;
    vec4 n = texelFetch(noise, (ivec2(gl_FragCoord.xy) + noise_at) & (TILE - 1), 0);
    v += grain * ((n.a * 255.0 - 128.0) / GRAIN_STEP) * min(8.0 * v, 1.0);
    v = clamp(255.0 * level * v, 0.0, 255.0);
    colour = vec4(floor(v + n.rgb * (255.0 / 256.0)) / 255.0, 1.0);
}
"""


def compose_source(blend: bool, bloom: bool, detail: bool) -> str:
    """The compositing shader with or without a second frame, bloom and detail: unused parts are compiled out."""
    switches = [name for name, on in (("BLEND", blend), ("BLOOM", bloom), ("DETAIL", detail)) if on]
    numbers = {"KNEE": KNEE, "SPILL": SPILL, "TILE": TILE, "TOE": TOE, "GRAIN_STEP": GRAIN_STEP, "FAINT": FAINT}
    lines = [f"#define {name}" for name in switches] + [f"#define {n} {v}" for n, v in numbers.items()]
    lines.append(f"#define LUMA vec3{LUMA}")
    return "\n".join(["#version 330 core", *lines]) + _COMPOSE
