// SPDX-License-Identifier: Apache-2.0
#include "split_tflm/run_generic.h"

#include <cstring>
#include <new>

#include "running.h"
#include "split_deploy/session.h"
#include "split_port/board_facts.h"
#include "split_port/port.h"
#include "survey_mode.h"

namespace split_tflm {
namespace {

using split_core::ConstBytes;
using split_core::MutableBytes;
using split_core::Node;
using split_deploy::Adoption;
using split_deploy::BoardLimits;
using split_deploy::DeployState;
using split_deploy::Identity;
using split_deploy::ImageStore;
using split_deploy::Mode;
using split_deploy::Refusal;
using split_deploy::RefusalCode;
using split_deploy::Slice;
using split_deploy::Survey;
using split_deploy::SurveyDesk;
using split_deploy::SurveyPort;
using split_deploy::kNoSlot;
using split_deploy::slices_of;
using split_device::TextLine;

constexpr uint8_t kNoSlice = 0xFF;

constexpr size_t aligned(size_t bytes) { return (bytes + 15) / 16 * 16; }

void print(const TextLine& line) { split_port::console_write(line.text()); }

uint8_t neighbour_ports() { return static_cast<uint8_t>(split_port::link_count() - 1); }

class Generic {
 public:
  explicit Generic(const GenericFirmware& firmware)
      : firmware_(firmware), images_(split_port::store()), boot_(split_port::boot_nonce()) {
    const split_port::LinkFacts links = split_port::link_facts();
    limits_.board = firmware.board;
    limits_.ports = neighbour_ports();
    limits_.flags = firmware.has_cmsis_nn ? Slice::kCmsisNnArena : 0;
    limits_.baud = links.is_spi ? 0 : links.rate_hz;
    limits_.work_bytes = static_cast<uint32_t>(firmware.work.size());
    limits_.posted_bytes = sizeof(split_device::PostedSend);
    limits_.rx_ring_bytes = split_deploy::told_ring(links.rx_ring_bytes);
  }

  [[noreturn]] void run() {
    images_.open(show_life);
    Mode mode = images_.active() != kNoSlot ? Mode::kPlan : Mode::kSurvey;
    while (true) mode = mode == Mode::kPlan ? compute() : survey();
  }

 private:
  Mode compute();
  Mode survey();
  Mode adopted(const Adoption& adoption);
  DeviceDescription description();
  Identity identity() const;
  bool has_image() const { return images_.active() != kNoSlot; }

  const GenericFirmware& firmware_;
  ImageStore images_;
  BoardLimits limits_;
  uint32_t boot_;
  Slice slice_;
  uint8_t wanted_ = 0;
  uint8_t ran_ = kNoSlice;
  DeviceDescription device_;
  TextLine why_;  // the device is broken; empty: it is not
  Refusal broken_;  // what it says then; its text is why_
};

// Arena, node and posted SENDs in the work memory, as work_bytes_of() counts them.
DeviceDescription Generic::description() {
  uint8_t* const arena = firmware_.work.data();
  uint8_t* const links = arena + slice_.arena_bytes;
  const size_t link_bytes = Node::required_bytes(slice_.node);
  auto* const posted = reinterpret_cast<split_device::PostedSend*>(links + aligned(link_bytes));
  return {firmware_.board,
          slice_.mark,
          slice_.node,
          slice_.ports,
          slice_.model,
          slice_.model_bytes,
          arena,
          slice_.arena_bytes,
          slice_.required_arena_bytes,
          links,
          link_bytes,
          posted,
          slice_.timeout_us,
          slice_.background_poll_us,
          firmware_.resolve};
}

Mode Generic::compute() {
  why_.clear();
  const ConstBytes image = images_.image(images_.active());
  ran_ = wanted_ < slices_of(image) ? wanted_ : 0;
  read_slice(image, ran_, &slice_);
  broken_ = check_fit(slice_, limits_);
  if (!broken_.ok()) {
    why_.add("the image is not for this board");
    if (broken_.text[0] != '\0') why_.add(": ").add(broken_.text);
    return Mode::kSurvey;
  }
  broken_.code = RefusalCode::kBadImage;
  device_ = description();
  Running* const running = set_up(device_, nullptr, &why_);
  if (running == nullptr || running->graph == nullptr) return Mode::kSurvey;
  running->runner->serve(*running->graph);
  return Mode::kSurvey;
}

Identity Generic::identity() const {
  Identity identity;
  split_port::unique_id(identity.id);
  identity.board = firmware_.board;
  identity.boot = boot_;
  identity.ports = limits_.ports;
  if (has_image()) identity.state = DeployState::kHoldsImage;
  if (!why_.empty()) identity.state = DeployState::kBroken;
  if (images_.survives()) identity.flags |= Identity::kSurvives;
  if (!firmware_.key.empty()) identity.flags |= Identity::kWantsKey;
  if (firmware_.has_cmsis_nn) identity.flags |= Identity::kCmsisNn;
  if (images_.has_prepared()) identity.flags |= Identity::kPrepared;
  identity.store_bytes = images_.capacity();
  identity.work_bytes = limits_.work_bytes;
  describe_links(&identity);
  if (!has_image()) return identity;
  const ConstBytes image = images_.image(images_.active());
  identity.slices = slices_of(image);
  const uint8_t shown = ran_ < identity.slices ? ran_ : 0;
  Slice slice;
  read_slice(image, shown, &slice);
  std::memcpy(identity.deployment, images_.deployment(images_.active()), sizeof identity.deployment);
  std::memcpy(identity.fingerprint, slice.node.fingerprint, sizeof identity.fingerprint);
  identity.rank = slice.node.rank;
  identity.world_size = slice.node.world_size;
  identity.slice = ran_ < identity.slices ? ran_ : kNoSlice;
  return identity;
}

Mode Generic::survey() {
  const Identity known = identity();
  TextLine line;
  line.add(!why_.empty() ? "BROKEN" : has_image() ? "SURVEYED" : "BLANK").add(" on ");
  line.add(firmware_.board).add(": ");
  if (!why_.empty()) line.add(why_.text());
  if (why_.empty()) {
    line.add("work memory ").add(int64_t{known.work_bytes}).add(", slot ");
    line.add(int64_t{known.store_bytes}).add(" bytes");
  }
  print(line.add("\n"));
  broken_.text = why_.text();
  SurveyDesk desk(known, broken_);
  SurveyPort ports[split_core::kMaxLinks];
  const uint8_t count = known.ports < split_core::kMaxLinks ? known.ports : split_core::kMaxLinks - 1;
  for (uint8_t i = 0; i < count; ++i) ports[i] = {&stream_of(i), i};
  ports[count] = {&stream_of(kHostPort), kHostPort};
  Survey* const survey = Survey::create(firmware_.work.data(), firmware_.work.size(), ports,
                                        count + 1u, desk);
  if (survey == nullptr) split_port::stop(1);  // not even a survey fits: a build that cannot be
  const Mode mode = desk.serve(*survey, split_port::clock(), show_life);
  if (mode == Mode::kSession) return adopted(desk.adoption());
  wanted_ = desk.slice();
  return mode;
}

// A node of the session, and a chunk behind it, in the work memory.
Mode Generic::adopted(const Adoption& adoption) {
  split_core::NodeConfig config = adoption.config;
  config.boot_nonce = split_port::boot_nonce();
  split_core::ByteStream* streams[split_core::kMaxLinks];
  for (uint8_t i = 0; i < config.link_count; ++i) streams[i] = &stream_of(adoption.ports[i]);
  const size_t node_bytes = aligned(Node::required_bytes(config));
  split_deploy::SessionParts parts;
  parts.clock = &split_port::clock();
  parts.images = &images_;
  parts.limits = limits_;
  parts.key = firmware_.key;
  parts.chunk = MutableBytes(firmware_.work.data() + node_bytes, split_deploy::kChunkBytes);
  parts.alive = show_life;
  split_deploy::Session session(parts);
  Node* const node =
      Node::create(firmware_.work.data(), node_bytes, config, streams, split_port::clock(), &session);
  session.attach(node);
  const Mode mode = session.serve();
  if (mode == Mode::kPlan) wanted_ = session.slice();
  why_.clear();
  return mode;
}

}  // namespace

void run_generic(const GenericFirmware& firmware) {
  alignas(Generic) static uint8_t memory[sizeof(Generic)];
  (new (memory) Generic(firmware))->run();
}

}  // namespace split_tflm
