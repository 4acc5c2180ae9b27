// SPDX-License-Identifier: Apache-2.0
#include "survey_mode.h"

#include <cstring>

#include "split_deploy/survey_desk.h"
#include "split_port/board_facts.h"
#include "split_port/port.h"

namespace split_tflm {
namespace {

using split_deploy::Identity;
using split_deploy::Survey;
using split_deploy::SurveyPort;

Identity identity_of(const DeviceDescription& device, uint32_t boot) {
  Identity identity;
  split_port::unique_id(identity.id);
  identity.board = device.board;
  identity.boot = boot;
  identity.state = split_deploy::DeployState::kFixed;
  identity.work_bytes = static_cast<uint32_t>(device.arena_bytes + device.link_memory_bytes);
  describe_links(&identity);
  std::memcpy(identity.fingerprint, device.node.fingerprint, sizeof identity.fingerprint);
  identity.rank = device.node.rank;
  identity.world_size = device.node.world_size;
  identity.slices = 1;
  identity.slice = 0;
  for (uint8_t i = 0; i < device.node.link_count; ++i) {
    const uint8_t port = device.ports[i];
    if (port != kHostPort && port >= identity.ports) identity.ports = static_cast<uint8_t>(port + 1);
  }
  return identity;
}

}  // namespace

void describe_links(Identity* identity) {
  const split_port::LinkFacts links = split_port::link_facts();
  if (links.is_spi) identity->flags |= Identity::kSpi;
  identity->baud = links.is_spi ? 0 : links.rate_hz;
  identity->rx_ring_bytes = split_deploy::told_ring(links.rx_ring_bytes);
  identity->tx_ring_bytes = split_deploy::told_ring(links.tx_ring_bytes);
}

split_core::ByteStream& stream_of(uint8_t port) {
  return split_port::link(port == kHostPort ? split_port::host_link() : port);
}

void serve_survey(const DeviceDescription& device, uint32_t boot, void (*alive)()) {
  const Identity identity = identity_of(device, boot);
  const split_deploy::Refusal sound;
  split_deploy::SurveyDesk desk(identity, sound);
  SurveyPort ports[split_core::kMaxLinks];
  for (uint8_t i = 0; i < device.node.link_count; ++i) {
    ports[i] = {&stream_of(device.ports[i]), device.ports[i]};
  }
  Survey* const survey = Survey::create(device.link_memory, device.link_memory_bytes, ports,
                                        device.node.link_count, desk);
  if (survey != nullptr) desk.serve(*survey, split_port::clock(), alive);
}

}  // namespace split_tflm
