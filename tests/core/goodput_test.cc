// SPDX-License-Identifier: Apache-2.0
// Rates on simulated lines. They depend on the injected clock alone, so they are the same on every
// machine; docs/wire_format.md quotes the lines that start with MEASURED.
#include "check.h"
#include "workload.h"

namespace {

using namespace sim;

struct Result {
  double seconds = 0;
  bool exact = false;
  uint32_t resent = 0;
  uint64_t faults = 0;
};

Result run(const Options& options, uint8_t source, uint64_t destinations, uint32_t bytes) {
  Cluster cluster(options);
  Random random(42);
  Workload workload(cluster);
  if (destinations != 0) {
    const uint32_t extent[4] = {1, 1, 1, bytes};
    const size_t message = workload.add_message(source, destinations, extent, 1, random, true);
    workload.send(message);
    for (uint8_t rank = 0; rank < options.nodes; ++rank) {
      if ((destinations & rank_bit(rank)) != 0) workload.recv(rank, {message});
    }
  } else {
    workload.add_all_gather(bytes, random);
  }
  Result result;
  if (!cluster.run_until_ready(5'000'000)) return result;
  const uint64_t start_us = cluster.clock().elapsed_us();
  const bool ran = workload.run(1, 120'000'000);
  result.seconds = static_cast<double>(cluster.clock().elapsed_us() - start_us) * 1e-6;
  result.exact = ran && workload.exact();
  result.resent = cluster.total_counters().frames_resent;
  result.faults = cluster.fault_count();
  return result;
}

}  // namespace

TEST(goodput_of_a_clean_megabyte) {
  constexpr uint32_t kBytes = 1'000'000;
  for (uint16_t mtu : {uint16_t{256}, uint16_t{512}, uint16_t{1024}}) {
    for (uint8_t nodes : {uint8_t{2}, uint8_t{4}}) {
      Options options;
      options.nodes = nodes;
      options.mtu_bytes = mtu;
      const auto last = static_cast<uint8_t>(nodes - 1);
      const Result result = run(options, 0, rank_bit(last), kBytes);
      const double goodput = kBytes / result.seconds / (options.bytes_per_us * 1e6) * 100;
      std::printf("MEASURED 1 MB over %d hop(s), MTU %d: %.2f %% of line rate\n", last, mtu,
                  goodput);
      EXPECT(result.exact);
      EXPECT_EQ(result.resent, 0u);
      EXPECT(goodput >= (mtu >= 512 ? 90.0 : 85.0));
    }
  }
}

TEST(goodput_in_a_ring_and_to_many) {
  for (uint16_t mtu : {uint16_t{256}, uint16_t{512}}) {
    Options options;
    options.mtu_bytes = mtu;
    options.nodes = 8;
    options.topology = Topology::kRing;
    const Result result = run(options, 0, 0b11111110, 500'000);
    const double goodput = 500'000 / result.seconds / (options.bytes_per_us * 1e6) * 100;
    std::printf("MEASURED 0.5 MB broadcast in a ring of 8, MTU %d: %.2f %% of line rate\n", mtu,
                goodput);
    EXPECT(result.exact);
    EXPECT(goodput >= (mtu >= 512 ? 90.0 : 85.0));
  }
}

TEST(all_gather_over_a_ring_of_four) {
  Options options;
  options.mtu_bytes = 512;
  options.nodes = 4;
  options.topology = Topology::kRing;
  const Result clean = run(options, 0, 0, 100'000);
  EXPECT(clean.exact);
  EXPECT_EQ(clean.resent, 0u);
  // Each wire carries 150 KB in the better, 200 KB in the tied direction: 3 * 100 KB over 2 links.
  std::printf("MEASURED all_gather of 100 KB each, ring of 4, clean: %.3f s\n", clean.seconds);
  options.faults.flip = 5e-5;
  options.faults.drop = 2e-5;
  options.faults.duplicate = 1e-5;
  options.faults.garbage = 1e-5;
  options.faults.stall = 1e-5;
  const Result faulty = run(options, 0, 0, 100'000);
  EXPECT(faulty.exact);
  EXPECT(faulty.faults > 100);
  // Only what is lost goes again: fewer frames than faults, a tenth more time than the clean run.
  EXPECT(faulty.resent > 50);
  EXPECT(faulty.resent < faulty.faults);
  EXPECT(faulty.seconds < 1.2 * clean.seconds);
  std::printf("MEASURED ... with %llu faults: %.3f s, %u frames sent again\n",
              static_cast<unsigned long long>(faulty.faults), faulty.seconds, faulty.resent);
}
