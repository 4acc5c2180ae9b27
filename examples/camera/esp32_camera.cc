// SPDX-License-Identifier: Apache-2.0
// An OV2640 or OV5640 on an ESP32-S3, by the driver esp_camera that the Arduino core brings. The
// pins are those of the ESP32-S3-EYE and of the boards that copy them; the links then need others
// than 15 to 18: -DSPLIT_PORT_PINS=1,2,41,42. Not tried on a board: none was at hand.
#include "camera.h"

#if defined(ARDUINO_ARCH_ESP32)

#include <esp_camera.h>

namespace {

constexpr uint32_t kSide = 240;  // of the camera's picture; the model's is cut out of its middle
Picture g_picture;
camera_fb_t* g_frame = nullptr;

camera_config_t config() {
  camera_config_t config = {};
  config.pin_pwdn = config.pin_reset = -1;
  config.pin_xclk = 15;
  config.pin_sccb_sda = 4;
  config.pin_sccb_scl = 5;
  config.pin_d7 = 16;
  config.pin_d6 = 17;
  config.pin_d5 = 18;
  config.pin_d4 = 12;
  config.pin_d3 = 10;
  config.pin_d2 = 8;
  config.pin_d1 = 9;
  config.pin_d0 = 11;
  config.pin_vsync = 6;
  config.pin_href = 7;
  config.pin_pclk = 13;
  config.xclk_freq_hz = 20000000;
  config.pixel_format = PIXFORMAT_RGB565;
  config.frame_size = FRAMESIZE_240X240;
  config.fb_location = CAMERA_FB_IN_PSRAM;
  config.fb_count = 2;
  config.grab_mode = CAMERA_GRAB_LATEST;
  return config;
}

// Red, green and blue of one pixel, from two bytes, the larger first; as int8, 0 being -128.
void convert(const uint8_t* pixel, uint8_t* to) {
  const unsigned word = static_cast<unsigned>(pixel[0]) << 8 | pixel[1];
  const unsigned red = word >> 11, green = word >> 5 & 63, blue = word & 31;
  to[0] = static_cast<uint8_t>((red << 3 | red >> 2) ^ 0x80);
  to[1] = static_cast<uint8_t>((green << 2 | green >> 4) ^ 0x80);
  to[2] = static_cast<uint8_t>((blue << 3 | blue >> 2) ^ 0x80);
}

}  // namespace

bool camera_begin(const Picture& picture) {
  g_picture = picture;
  if (picture.channels != 3 || picture.rows > kSide || picture.columns > kSide) return false;
  const camera_config_t chosen = config();
  return esp_camera_init(&chosen) == ESP_OK;
}

bool camera_take() {
  if (g_frame != nullptr) esp_camera_fb_return(g_frame);
  g_frame = esp_camera_fb_get();
  return g_frame != nullptr && g_frame->width == kSide && g_frame->height == kSide;
}

bool camera_rows(void*, uint8_t, uint32_t first, uint32_t count, uint8_t* to) {
  const uint32_t top = (kSide - g_picture.rows) / 2, left = (kSide - g_picture.columns) / 2;
  for (uint32_t row = top + first; row < top + first + count; ++row) {
    const uint8_t* pixel = g_frame->buf + 2 * (row * kSide + left);
    for (uint32_t column = 0; column < g_picture.columns; ++column, pixel += 2, to += 3) {
      convert(pixel, to);
    }
  }
  return true;
}

#endif
