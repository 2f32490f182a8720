#include "frontends/sdl/imgui_draw.h"

#include <imgui.h>

#include <algorithm>

namespace dragoman {

SDL_Texture* make_imgui_font(SDL_Renderer* renderer) {
  ImGuiIO& io = ImGui::GetIO();
  unsigned char* pixels = nullptr;
  int width = 0;
  int height = 0;
  io.Fonts->GetTexDataAsRGBA32(&pixels, &width, &height);
  SDL_Texture* texture = SDL_CreateTexture(renderer, SDL_PIXELFORMAT_ABGR8888,
                                           SDL_TEXTUREACCESS_STATIC, width, height);
  if (texture == nullptr) return nullptr;
  SDL_UpdateTexture(texture, nullptr, pixels, 4 * width);
  SDL_SetTextureBlendMode(texture, SDL_BLENDMODE_BLEND);
  io.Fonts->SetTexID(texture);
  return texture;
}

void draw_imgui(SDL_Renderer* renderer, const ImDrawData& data) {
  for (int list = 0; list < data.CmdListsCount; ++list) {
    const ImDrawList& commands = *data.CmdLists[list];
    for (const ImDrawCmd& command : commands.CmdBuffer) {
      if (command.UserCallback != nullptr) continue;
      const int left = std::max(0, static_cast<int>(command.ClipRect.x - data.DisplayPos.x));
      const int top = std::max(0, static_cast<int>(command.ClipRect.y - data.DisplayPos.y));
      const int right =
          static_cast<int>(std::min(command.ClipRect.z - data.DisplayPos.x, data.DisplaySize.x));
      const int bottom =
          static_cast<int>(std::min(command.ClipRect.w - data.DisplayPos.y, data.DisplaySize.y));
      if (right <= left || bottom <= top) continue;
      const SDL_Rect clip{left, top, right - left, bottom - top};
      SDL_RenderSetClipRect(renderer, &clip);
      const ImDrawVert* const vertices = commands.VtxBuffer.Data + command.VtxOffset;
      SDL_RenderGeometryRaw(renderer, static_cast<SDL_Texture*>(command.GetTexID()),
                            &vertices->pos.x, sizeof(ImDrawVert),
                            reinterpret_cast<const SDL_Color*>(&vertices->col), sizeof(ImDrawVert),
                            &vertices->uv.x, sizeof(ImDrawVert),
                            commands.VtxBuffer.Size - static_cast<int>(command.VtxOffset),
                            commands.IdxBuffer.Data + command.IdxOffset,
                            static_cast<int>(command.ElemCount), sizeof(ImDrawIdx));
    }
  }
  SDL_RenderSetClipRect(renderer, nullptr);
}

}  // namespace dragoman
