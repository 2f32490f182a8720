// Draws what Dear ImGui has laid out with an SDL renderer.
#pragma once

#include <SDL2/SDL.h>

struct ImDrawData;

namespace dragoman {

/// The font of ImGui's current context as a texture, which ImGui refers to from then on; null when
/// SDL cannot make it. The caller destroys it.
SDL_Texture* make_imgui_font(SDL_Renderer* renderer);

/// Draws over what the renderer's target has.
void draw_imgui(SDL_Renderer* renderer, const ImDrawData& data);

}  // namespace dragoman
