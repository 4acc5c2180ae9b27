// SPDX-License-Identifier: Apache-2.0
// A session between a device (rank 0) and its host (rank 1), over a wire with a rate and faults.
#include <cstdlib>
#include <memory>
#include <string>

#include "check.h"
#include "images.h"
#include "sim.h"
#include "split_core/endian.h"
#include "split_deploy/session.h"
#include "store.h"

namespace {

using namespace sim;
using namespace split_deploy;

using Bytes = std::vector<uint8_t>;

void idle_hands() {}

constexpr uint8_t kKey[] = {'k', 'e', 'y'};

struct Deployment {
  explicit Deployment(const Options& options = Options(), bool with_key = false, uint32_t slot_bytes = 8192)
      : cluster(options), store(slot_bytes), images(&store) {
    for (const uint8_t rank : {uint8_t{0}, uint8_t{1}}) {
      cluster.config(rank).world_size = 1;
      cluster.reset(rank);
    }
    chunk.resize(512);
    images.open(idle_hands);
    SessionParts parts = {};
    parts.clock = &cluster.clock();
    parts.images = &images;
    parts.limits.board = "pretended";
    parts.limits.ports = 2;
    parts.limits.work_bytes = 64 * 1024;
    parts.limits.posted_bytes = 16;
    if (with_key) parts.key = ConstBytes(kKey, sizeof kKey);
    parts.chunk = MutableBytes(chunk.data(), chunk.size());
    parts.alive = idle_hands;
    session = std::make_unique<Session>(parts);
    session->attach(&cluster.node(0));
    cluster.clock().on_idle = [](void* context) { static_cast<Deployment*>(context)->pass(); };
    cluster.clock().context = this;
    host().begin_epoch(kSessionEpoch);
  }

  Communicator& host() { return cluster.node(1).communicator(); }

  // One step of time; datagrams reach the session outside of the node's own poll.
  void pass() {
    cluster.step();
    for (const Datagram& message : cluster.datagrams(0)) {
      session->on_datagram(message.source, message.channel,
                           ConstBytes(message.payload.data(), message.payload.size()));
    }
    cluster.datagrams(0).clear();
    for (const Datagram& message : cluster.datagrams(1)) got.push_back(message.payload);
    cluster.datagrams(1).clear();
    keep_posting();
    if (++steps % 500 == 0) repeat();
    if (script != nullptr) script(*this);
    if (steps > 2'000'000) std::abort();  // a test that hangs
  }

  void repeat() {
    if (!asked.empty()) host().send_datagram(rank_bit(0), kSessionChannel, ConstBytes(asked.data(), asked.size()));
  }
  void ask(const Bytes& message) {
    asked = message;
    repeat();
  }
  void offer(const TestImage& image, const uint8_t* key = nullptr, size_t key_bytes = 0) {
    Bytes message(88, 0);
    message[0] = message[1] = 1;
    store_le<uint32_t>(message.data() + 4, image.size());
    std::memcpy(message.data() + 8, image.deployment, 16);
    std::memcpy(message.data() + 24, image.sha256, 32);
    if (key != nullptr) {
      SessionRequest request;
      unpack(ConstBytes(message.data(), message.size()), &request);
      sign(ConstBytes(key, key_bytes), request, message.data() + 56);
    }
    ask(message);
  }
  void tell(SessionType type, const TestImage& image, uint8_t slice = 0) {
    Bytes message(20, 0);
    message[0] = 1;
    message[1] = static_cast<uint8_t>(type);
    message[2] = slice;
    std::memcpy(message.data() + 4, image.deployment, 16);
    ask(message);
  }
  // The next message of the device that is not the one before, as type and its third byte.
  bool answered(SessionType type) {
    while (!got.empty()) {
      last = got.front();
      got.erase(got.begin());
      if (last.size() > 2 && last[1] == static_cast<uint8_t>(type)) return true;
    }
    return false;
  }
  // Posts the image's chunks from a byte on, one after the other, in the order that they are asked for.
  void post(const TestImage& image, uint32_t from = 0) {
    sent = &image;
    posted = from;
  }
  void keep_posting() {
    while (sent != nullptr && posted < sent->size()) {
      const uint32_t count = sent->size() - posted < 512 ? sent->size() - posted : 512;
      uint8_t* const bytes = const_cast<uint8_t*>(sent->bytes.data()) + posted;
      if (!host().post_send(kImageChannel, rank_bit(0), StridedBox::flat(bytes, count)).ok()) return;
      posted += count;
    }
  }

  // The host surveys; its node sends nothing any more.
  void survey() {
    asked.clear();
    cluster.set_busy(1, true);
    // What comes earlier counts as a repetition of what led here.
    while (cluster.clock().elapsed_us() < 400'000) cluster.step();
    FrameHeader header;
    header.type = FrameType::kSurvey;
    FrameEncoder encoder;
    encoder.start(header, ConstBytes());
    Pipe& wire = cluster.wire_from(1, 0);
    PipeStream into(wire, wire);
    for (int i = 0; i < 1'000 && !encoder.done(); ++i) {
      encoder.write_to(into);
      cluster.step();
    }
    EXPECT(encoder.done());
  }

  Cluster cluster;
  TestStore store;
  ImageStore images;
  Bytes chunk;
  std::unique_ptr<Session> session;
  void (*script)(Deployment&) = nullptr;
  int stage = 0;
  uint64_t steps = 0;
  uint32_t posted = 0;
  Bytes asked, last;
  std::vector<Bytes> got;
  const TestImage* wanted = nullptr;  // what the script deploys
  const TestImage* sent = nullptr;    // whose chunks are posted as slots are free
  bool was_reset = false;
};

// OFFER, the image, COMMIT, RUN: what a host does when nothing goes wrong.
void whole_script(Deployment& now) {
  const TestImage& image = *now.wanted;
  if (now.stage == 0) {
    now.offer(image);
    now.stage = 1;
  } else if (now.stage == 1 && now.answered(SessionType::kAccepted)) {
    if (now.last[2] == 0 && now.sent == nullptr) now.post(image);
    if (now.last[2] == 0) return;
    now.tell(SessionType::kCommit, image);
    now.stage = 2;
  } else if (now.stage == 2 && now.answered(SessionType::kCommitted)) {
    EXPECT(std::memcmp(now.last.data() + 4, image.deployment, 16) == 0);
    now.tell(SessionType::kRun, image);
    now.stage = 3;
  } else if (now.stage == 3 && now.answered(SessionType::kRunning)) {
    now.asked.clear();
    now.stage = 4;
  }
}

bool holds(Deployment& now, const TestImage& image) {
  if (now.images.active() == kNoSlot) return false;
  const ConstBytes found = now.images.image(now.images.active());
  return found.size() == image.size() && std::memcmp(found.data(), image.bytes.data(), found.size()) == 0;
}

}  // namespace

TEST(an_image_is_taken_committed_and_run) {
  for (const double damage : {0.0, 1e-4}) {
    const TestImage image(7, 3000);
    Options options;
    options.faults.flip = damage;
    Deployment now(options);
    now.wanted = &image;
    now.script = whole_script;
    EXPECT(now.session->serve() == Mode::kPlan);
    EXPECT_EQ(now.stage, 4);
    EXPECT_EQ(now.session->slice(), 0);
    EXPECT(holds(now, image));
    EXPECT(now.cluster.clock().elapsed_us() > 300'000);  // it forwarded for others meanwhile
    EXPECT_EQ(load_le<uint32_t>(now.images.image(now.images.active()).data() + 8), image.size());
  }
}

TEST(an_image_that_is_there_is_not_sent_again) {
  const TestImage image(7, 3000);
  Deployment now;
  now.wanted = &image;
  now.script = whole_script;
  EXPECT(now.session->serve() == Mode::kPlan);
  const uint64_t spent = now.store.spent();
  Deployment again;
  again.wanted = &image;
  // The same store under another session.
  again.store = now.store;
  again.images.open(idle_hands);
  again.script = whole_script;
  EXPECT(again.session->serve() == Mode::kPlan);
  EXPECT_EQ(again.posted, 0u);
  EXPECT_EQ(again.store.spent(), spent);
}

namespace {

// Asks once and keeps the first answer of a type; a survey frame ends the session.
template <typename Ask>
Bytes first_answer(Deployment& now, SessionType type, Ask ask) {
  static Ask* asks;
  static SessionType wanted;
  asks = &ask;
  wanted = type;
  now.script = [](Deployment& here) {
    if (here.stage == 0) (*asks)(here);
    if (here.stage == 0) here.stage = 1;
    if (here.stage == 1 && here.answered(wanted)) {
      here.stage = 2;
      here.survey();
    }
  };
  EXPECT(now.session->serve() == Mode::kSurvey);
  EXPECT_EQ(now.stage, 2);
  return now.last;
}

}  // namespace

TEST(offers_that_cannot_be_taken_are_refused) {
  const TestImage image(1, 3000);
  const auto offered = [&image](Deployment& now) { now.offer(image); };
  {
    Deployment now(Options(), false, 2048);
    const Bytes answer = first_answer(now, SessionType::kRefused, offered);
    EXPECT_EQ(answer[2], 7);
    EXPECT_EQ(answer[3], 1);
    EXPECT_EQ(load_le<uint32_t>(answer.data() + 4), image.size() - (2048 - 192));
  }
  {
    Deployment now(Options(), true);
    EXPECT_EQ(first_answer(now, SessionType::kRefused, offered)[2], 8);
    EXPECT_EQ(now.store.spent(), 0u);  // before anything is erased
  }
  {
    Deployment now(Options(), true);
    const auto signed_offer = [&image](Deployment& here) { here.offer(image, kKey, sizeof kKey); };
    EXPECT_EQ(first_answer(now, SessionType::kAccepted, signed_offer)[2], 0);
  }
  {
    Deployment now;
    now.store.fail_after(10);
    EXPECT_EQ(first_answer(now, SessionType::kRefused, offered)[2], 9);
  }
  {
    Deployment now;
    const auto odd = [&image](Deployment& here) {
      TestImage changed = image;
      changed.bytes.pop_back();
      here.offer(changed);
    };
    EXPECT_EQ(first_answer(now, SessionType::kRefused, odd)[2], 1);
  }
}

TEST(images_that_are_not_what_was_offered_or_not_sound_are_refused) {
  for (const int fault : {0, 1, 2}) {
    static TestImage image(1, 3000);
    image = TestImage(1, 3000);
    if (fault == 1) image.bytes[48 + 14] = 99;     // rx_slots
    if (fault == 2) image.bytes[48 + 80] = 'q';    // board
    if (fault > 0) image.seal();
    Deployment now;
    const auto script = [](Deployment& here) { here.offer(image); };
    now.wanted = &image;
    if (fault == 0) image.bytes[500] ^= 1;
    now.post(image);  // the chunks wait for the device's RECVs
    const Bytes answer = first_answer(now, SessionType::kRefused, script);
    EXPECT_EQ(answer[2], fault == 0 ? 10 : 11);
    const std::string text(answer.begin() + 8, answer.end());
    EXPECT_TEXT(text.c_str(), fault == 0 ? "" : fault == 1 ? "rx_slots" : "board");
    EXPECT(now.images.active() == kNoSlot && !now.images.has_prepared());
  }
}

TEST(what_is_not_prepared_is_neither_committed_nor_run) {
  const TestImage image(1, 3000);
  Deployment commits;
  EXPECT_EQ(first_answer(commits, SessionType::kRefused,
                         [&image](Deployment& now) { now.tell(SessionType::kCommit, image); })[2], 12);
  Deployment runs;
  EXPECT_EQ(first_answer(runs, SessionType::kRefused,
                         [&image](Deployment& now) { now.tell(SessionType::kRun, image); })[2], 4);
}

TEST(another_deployment_waits_until_the_first_is_over) {
  static const TestImage image(1, 3000), other(2, 3000);
  Deployment now;
  now.script = [](Deployment& here) {
    if (here.stage == 0) {
      here.offer(image);
      here.stage = 1;
    } else if (here.stage == 1 && here.answered(SessionType::kAccepted)) {
      here.offer(other);
      here.stage = 2;
    } else if (here.stage == 2 && here.answered(SessionType::kRefused)) {
      EXPECT_EQ(here.last[2], 13);
      here.offer(image);
      here.post(image);
      here.stage = 3;
    } else if (here.stage == 3 && here.answered(SessionType::kAccepted) && here.last[2] == 1) {
      here.wanted = &image;
      here.tell(SessionType::kCommit, image);
      here.stage = 4;
    } else if (here.stage == 4 && here.answered(SessionType::kCommitted)) {
      here.tell(SessionType::kRun, image, 1);  // there is only slice 0
      here.stage = 5;
    } else if (here.stage == 5 && here.answered(SessionType::kRefused)) {
      EXPECT_EQ(here.last[2], 4);
      EXPECT_EQ(here.last[3], 3);
      here.tell(SessionType::kRun, other);  // not this one
      here.stage = 6;
    } else if (here.stage == 6 && here.answered(SessionType::kRefused)) {
      if (here.last[2] == 4) return;  // a repetition of the one before
      EXPECT_EQ(here.last[2], 12);
      here.tell(SessionType::kRun, image);
      here.stage = 7;
    }
  };
  EXPECT(now.session->serve() == Mode::kPlan);
  EXPECT(holds(now, image));
}

TEST(after_a_lost_link_the_image_goes_on_where_it_stopped) {
  static const TestImage image(9, 6000);
  Deployment now;
  now.wanted = &image;
  now.script = [](Deployment& here) {
    if (here.stage == 1 && here.images.written_bytes() >= 1024 && !here.was_reset) {
      here.was_reset = true;  // the host is
      here.cluster.reset(1);
      here.host().begin_epoch(kSessionEpoch);
      here.sent = nullptr;
      here.stage = 10;
    }
    if (here.stage == 10 && here.answered(SessionType::kAccepted)) {
      const uint32_t received = load_le<uint32_t>(here.last.data() + 8);
      if (!here.cluster.node(1).link_error().ok() || !here.cluster.node(0).communicator().error().ok()) return;
      EXPECT(received >= 1024);
      here.host().begin_epoch(kSessionEpoch);
      here.post(image, received);
      here.stage = 1;
    } else if (here.stage != 10) {
      whole_script(here);
    }
  };
  EXPECT(now.session->serve() == Mode::kPlan);
  EXPECT(now.was_reset);
  EXPECT(holds(now, image));
}

TEST(a_survey_frame_ends_a_session) {
  Deployment now;
  now.script = [](Deployment& here) {
    if (here.steps == 5'000) here.survey();
  };
  EXPECT(now.session->serve() == Mode::kSurvey);
  EXPECT(now.cluster.clock().elapsed_us() < 1'000'000);
}

TEST(a_survey_frame_that_comes_at_once_is_one_of_before) {
  Deployment now;
  now.script = [](Deployment& here) {
    if (here.steps == 1'000) {
      FrameHeader header;
      header.type = FrameType::kSurvey;
      FrameEncoder encoder;
      encoder.start(header, ConstBytes());
      Pipe& wire = here.cluster.wire_from(1, 0);
      PipeStream into(wire, wire);
      encoder.write_to(into);
      here.cluster.set_busy(1, true);
    }
    if (here.steps == 30'000) here.survey();
  };
  EXPECT(now.session->serve() == Mode::kSurvey);
  EXPECT(now.steps >= 30'000);
}

TEST(a_session_without_a_link_ends_after_ten_seconds) {
  Deployment now;
  now.cluster.set_busy(1, true);
  EXPECT(now.session->serve() == Mode::kSurvey);
  EXPECT(now.cluster.clock().elapsed_us() >= 10'000'000);
  EXPECT(now.cluster.clock().elapsed_us() < 11'000'000);
}

namespace {

// One of several devices in a line; the host is behind the last.
struct Member {
  Member(Cluster* cluster, uint8_t rank, uint32_t model_bytes)
      : image(static_cast<uint8_t>(rank + 1), model_bytes),
        store((image.size() + 192 + 511) / 512 * 512),
        images(&store),
        chunk(kChunkBytes) {
    SessionParts parts = {};
    parts.clock = &cluster->clock();
    parts.images = &images;
    parts.limits.board = "pretended";
    parts.limits.work_bytes = 64 * 1024;
    parts.limits.posted_bytes = 16;
    parts.chunk = MutableBytes(chunk.data(), chunk.size());
    parts.alive = idle_hands;
    session = std::make_unique<Session>(parts);
    session->attach(&cluster->node(rank));
    session->begin();
  }
  TestImage image;
  TestStore store;
  ImageStore images;
  Bytes chunk;
  std::unique_ptr<Session> session;
  uint32_t posted = 0;
  bool is_prepared = false;
};

Bytes offer_of(const TestImage& image) {
  Bytes message(88, 0);
  message[0] = message[1] = 1;
  store_le<uint32_t>(message.data() + 4, image.size());
  std::memcpy(message.data() + 8, image.deployment, 16);
  std::memcpy(message.data() + 24, image.sha256, 32);
  return message;
}

}  // namespace

// 3.5 MB in less than 10 seconds: so much of it in as much of the time, and the host's wire is busy.
TEST(eight_devices_take_their_images_at_the_rate_of_the_hosts_wire) {
  constexpr uint8_t kDevices = 8;
  constexpr uint32_t kModelBytes = 40'000;
  Options options;
  options.nodes = kDevices + 1;
  options.mtu_bytes = 512;
  Cluster cluster(options);
  for (uint8_t rank = 0; rank <= kDevices; ++rank) {
    cluster.config(rank).world_size = kDevices;
    cluster.config(rank).send_slots = kDevices;
    cluster.reset(rank);
  }
  Communicator& host = cluster.node(kDevices).communicator();
  EXPECT(cluster.run_until_ready(1'000'000));
  host.begin_epoch(kSessionEpoch);
  std::vector<std::unique_ptr<Member>> members;
  for (uint8_t rank = 0; rank < kDevices; ++rank) {
    members.push_back(std::make_unique<Member>(&cluster, rank, kModelBytes));
  }
  const uint64_t begun_us = cluster.clock().elapsed_us();
  uint32_t total_bytes = 0;
  for (uint8_t rank = 0; rank < kDevices; ++rank) {
    const Bytes message = offer_of(members[rank]->image);
    while (!host.send_datagram(rank_bit(rank), kSessionChannel, ConstBytes(message.data(), message.size()))) {
      cluster.step();
    }
    total_bytes += members[rank]->image.size();
  }
  size_t prepared = 0;
  for (uint32_t turn = 0; prepared < kDevices && turn < 200'000; ++turn) {
    cluster.step();
    for (uint8_t rank = 0; rank < kDevices; ++rank) {
      Member& member = *members[rank];
      for (const Datagram& message : cluster.datagrams(rank)) {
        member.session->on_datagram(message.source, message.channel,
                                    ConstBytes(message.payload.data(), message.payload.size()));
      }
      cluster.datagrams(rank).clear();
      Mode next;
      EXPECT(!member.session->step(&next));
    }
    // A slot for each device; the next chunk when the one before has left.
    for (uint8_t rank = 0; rank < kDevices; ++rank) {
      Member& member = *members[rank];
      const uint32_t left = member.image.size() - member.posted;
      if (left == 0 || member.posted > member.images.written_bytes()) continue;
      const uint32_t count = left < kChunkBytes ? left : static_cast<uint32_t>(kChunkBytes);
      const StridedBox box = StridedBox::flat(member.image.bytes.data() + member.posted, count);
      if (host.post_send(kImageChannel, rank_bit(rank), box).ok()) member.posted += count;
    }
    for (const Datagram& message : cluster.datagrams(kDevices)) {
      if (message.payload[1] == 129 && message.payload[2] == 1) ++prepared;
    }
    cluster.datagrams(kDevices).clear();
  }
  EXPECT_EQ(prepared, kDevices);
  const uint64_t took_us = cluster.clock().elapsed_us() - begun_us;
  const double rate = static_cast<double>(total_bytes) / static_cast<double>(took_us);
  std::printf("%u bytes in %u us: %.2f of the wire\n", total_bytes, static_cast<unsigned>(took_us), rate / 0.6);
  EXPECT(rate > 0.35);  // 3.5 MB in 10 s
}
