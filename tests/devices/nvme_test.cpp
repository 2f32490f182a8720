// The NVMe controller as its driver sees it, and what no driver would do.
#include <random>

#include "tests/devices/bad_image.h"
#include "tests/devices/nvme_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

TEST_F(NvmeTest, StateListIsComplete) {
  check_state_list<NvmeState>();
  check_state_list<NvmeSubmissionQueue>();
  check_state_list<NvmeCompletionQueue>();
}

TEST_F(NvmeTest, RegistersAndEnabling) {
  EXPECT_EQ(nvme_->config_read(8, 4), 0x01080202u);
  EXPECT_EQ(memory.read(PhysicalAddress(kBar), 8), 0x20140103ffull);
  EXPECT_EQ(get(kVs), 0x10400u);
  set8(kAsq, 0x12345fff);
  EXPECT_EQ(get(kAsq), 0x12345000u);
  EXPECT_EQ(get(kCsts), 0u);
  enable();
  set(kCc, get(kCc) | 1 << 14);  // normal shutdown
  EXPECT_EQ(get(kCsts), 9u);
  set(kCc, 0);
  EXPECT_EQ(get(kCsts), 0u);
  EXPECT_EQ(get(kAqa), 15u << 16 | 15) << "kept over a controller reset";
  set(kCc, 1 << 7 | 1);  // 8 KiB pages
  EXPECT_EQ(get(kCsts), 2u) << "fatal";
  set(kCc, 0);
  set(kAqa, 0);
  set(kCc, 1);
  EXPECT_EQ(get(kCsts), 2u) << "queues of one entry";
}

TEST_F(NvmeTest, Identify) {
  enable();
  EXPECT_EQ(admin({0x06, 0, kData, 0, {1}}).status, 0);
  EXPECT_EQ(at<u16>(0), 0x1b36);
  EXPECT_EQ(ram(kData + 4, 3), (std::vector<u8>{'S', '1', ' '}));
  EXPECT_EQ(at<u32>(80), 0x10400u);
  EXPECT_EQ(at<u32>(516), 1u);
  EXPECT_EQ(at<u8>(512), 0x66);
  EXPECT_EQ(at<u8>(768), 'n');
  EXPECT_EQ(admin({0x06, 1, kData, 0, {0}}).status, 0);
  EXPECT_EQ(at<u64>(0), kSectors);
  EXPECT_EQ(at<u8>(130), 9);
  EXPECT_EQ(at<u8>(99), 0);
  EXPECT_EQ(admin({0x06, 0, kData, 0, {2}}).status, 0);
  EXPECT_EQ(at<u64>(0), 1u);
  EXPECT_EQ(admin({0x06, 1, kData, 0, {2}}).status, 0);
  EXPECT_EQ(at<u64>(0), 0u);
  EXPECT_EQ(admin({0x06, 1, kData, 0, {3}}).status, 0);
  EXPECT_EQ(at<u16>(0), 0x0801);
  for (const u32 nsid : {0u, 2u, 0xffffffffu}) {
    EXPECT_EQ(admin({0x06, nsid, kData, 0, {0}}).status, 0x400b) << nsid;
  }
  EXPECT_EQ(admin({0x06, 1, kData, 0, {0x55}}).status, 0x4002);
  EXPECT_EQ(admin({0x77, 1}).status, 0x4001) << "opcode";
}

TEST_F(NvmeTest, CompletionsNameTheirCommand) {
  enable();
  put(kAdminSubmission, 0, {0x0a, 0, 0, 0, {7}}, 0x1234);
  put(kAdminSubmission, 1, {0x0a, 0, 0, 0, {4}}, 0x5678);
  ring(0, false, 2);
  auto c = completion_at(kAdminCompletion, 0);
  EXPECT_EQ(c.id, 0x1234);
  EXPECT_EQ(c.result, 0xf000fu);
  EXPECT_EQ(c.head, 1);
  EXPECT_EQ(c.queue, 0);
  EXPECT_TRUE(c.phase);
  c = completion_at(kAdminCompletion, 1);
  EXPECT_EQ(c.id, 0x5678);
  EXPECT_EQ(c.result, 343u);
  EXPECT_EQ(c.head, 2);
}

TEST_F(NvmeTest, QueuesAreCreatedAndDeleted) {
  enable();
  const auto completion_queue = [&](u32 id, u32 size, u32 options, u64 prp = completion(1)) {
    return admin({0x05, 0, prp, 0, {(size - 1) << 16 | id, options}}).status;
  };
  const auto submission_queue = [&](u32 id, u32 size, u32 options) {
    return admin({0x01, 0, submission(1), 0, {(size - 1) << 16 | id, options}}).status;
  };
  EXPECT_EQ(completion_queue(0, 8, 1), 0x4101);
  EXPECT_EQ(completion_queue(17, 8, 1), 0x4101);
  EXPECT_EQ(completion_queue(1, 1, 1), 0x4102);
  EXPECT_EQ(completion_queue(1, 1025, 1), 0x4102);
  EXPECT_EQ(completion_queue(1, 8, 0), 0x4002) << "not contiguous";
  EXPECT_EQ(completion_queue(1, 8, 17 << 16 | 1), 0x4108) << "vector";
  EXPECT_EQ(completion_queue(1, 8, 1, 0x1008), 0x4013);
  EXPECT_EQ(submission_queue(1, 8, 1 << 16 | 1), 0x4100) << "no completion queue";
  EXPECT_EQ(completion_queue(1, 1024, 3), 0);
  EXPECT_EQ(completion_queue(1, 8, 3), 0x4101) << "there is one";
  EXPECT_EQ(submission_queue(1, 8, 1 << 16 | 1), 0);
  EXPECT_EQ(submission_queue(2, 8, 1 << 16 | 1), 0) << "two queues may share one";
  EXPECT_EQ(admin({0x04, 0, 0, 0, {1}}).status, 0x410c) << "in use";
  EXPECT_EQ(admin({0x00, 0, 0, 0, {1}}).status, 0);
  EXPECT_EQ(admin({0x00, 0, 0, 0, {1}}).status, 0x4101);
  EXPECT_EQ(admin({0x00, 0, 0, 0, {2}}).status, 0);
  EXPECT_EQ(admin({0x04, 0, 0, 0, {1}}).status, 0);
  EXPECT_EQ(admin({0x04, 0, 0, 0, {0}}).status, 0x4101);
}

TEST_F(NvmeTest, ReadsAndWritesByPages) {
  enable();
  create_queues(1);
  // Within a page, over two pages with an offset, with a list, with a list that goes on elsewhere.
  EXPECT_EQ(io(transfer(false, 7, 2, kData + 0x200)).status, 0);
  EXPECT_EQ(ram(kData + 0x200, 1024), sectors(7, 2));
  EXPECT_EQ(io(transfer(false, 20, 8, kData + 0xf00, kData + 0x5000)).status, 0);
  EXPECT_EQ(ram(kData + 0xf00, 0x100), [&] {
    auto s = sectors(20, 8);
    s.resize(0x100);
    return s;
  }());
  const auto rest = sectors(20, 8);
  EXPECT_EQ(ram(kData + 0x5000, 8 * 512 - 0x100),
            std::vector<u8>(rest.begin() + 0x100, rest.end()));
  constexpr u64 kList = 0x80ff0;  // two entries before the end of the page
  memory.store<u64>(PhysicalAddress(kList), 0x201000);
  memory.store<u64>(PhysicalAddress(kList + 8), 0x90000);  // the next list
  for (u64 i = 0; i < 126; ++i)
    memory.store<u64>(PhysicalAddress(0x90000 + 8 * i), 0x202000 + 0x1000 * i);
  EXPECT_EQ(io(transfer(false, 100, 1024, 0x200000, kList)).status, 0);
  EXPECT_EQ(ram(0x200000, 128 * 4096), sectors(100, 1024));
  EXPECT_EQ(io(transfer(false, 100, 1025, 0x200000, kList)).status, 0x4002) << "more than MDTS";
  memory.write_bytes(PhysicalAddress(0x200000), std::vector<u8>(128 * 4096, 0x3c));
  EXPECT_EQ(io(transfer(true, 2000, 1024, 0x200000, kList)).status, 0);
  EXPECT_EQ(sectors(2000, 1024), std::vector<u8>(128 * 4096, 0x3c));
  EXPECT_EQ(io(transfer(false, kSectors - 1, 2, kData)).status, 0x4080);
  EXPECT_EQ(io(transfer(false, ~u64{0}, 1, kData)).status, 0x4080);
  EXPECT_EQ(io(transfer(false, 0, 1, kData + 2)).status, 0x4013);
  EXPECT_EQ(io(transfer(false, 0, 16, kData, kData + 8)).status, 0x4013);
  auto other = transfer(false, 0, 1, kData);
  other.words[1] = 2;
  EXPECT_EQ(io(other).status, 0x400b);
  EXPECT_EQ(io({0x05, 1, kData}).status, 0x4001) << "compare is not offered";
}

TEST_F(NvmeTest, FlushZeroesAndDeallocation) {
  enable();
  create_queues(1);
  EXPECT_EQ(io({0x00, 1}).status, 0);
  EXPECT_EQ(io({0x00, 0xffffffff}).status, 0);
  EXPECT_EQ(io({0x08, 1, 0, 0, {50, 0, 2999}}).status, 0);
  EXPECT_EQ(sectors(50, 3000), std::vector<u8>(3000 * 512));
  EXPECT_NE(sectors(49, 1), std::vector<u8>(512));
  EXPECT_NE(sectors(3050, 1), std::vector<u8>(512));
  EXPECT_EQ(io({0x08, 1, 0, 0, {4000, 0, 100}}).status, 0x4080);
  memory.store<u32>(PhysicalAddress(kData + 4), 16);
  memory.store<u64>(PhysicalAddress(kData + 8), 100);
  memory.store<u32>(PhysicalAddress(kData + 20), 16);
  memory.store<u64>(PhysicalAddress(kData + 24), kSectors - 8);
  EXPECT_EQ(io({0x09, 1, kData, 0, {0, 4}}).status, 0);
  EXPECT_EQ(io({0x09, 1, kData, 0, {1, 4}}).status, 0x4080);
}

TEST_F(NvmeTest, FullCompletionQueueHoldsCommandsBack) {
  enable();
  create_queues(1);
  // A second submission queue feeds the same completion queue.
  ASSERT_EQ(admin({0x01, 0, submission(2), 0, {(kEntries - 1) << 16 | 2, 1 << 16 | 1}}).status, 0);
  for (u32 i = 0; i < 7; ++i)
    put(submission(1), i, transfer(false, i, 1, kData), static_cast<u16>(i));
  for (u32 i = 0; i < 7; ++i) {
    put(submission(2), i, transfer(false, i, 1, kData), static_cast<u16>(0x20 + i));
  }
  ring(1, false, 7);
  ring(2, false, 7);
  unsigned done = 0;
  while (const auto c = reap_io(1)) {
    EXPECT_EQ(c->status, 0);
    ++done;
  }
  EXPECT_EQ(done, 14u);
}

TEST_F(NvmeTest, PinInterrupts) {
  enable();
  create_queues(1, 3);
  EXPECT_FALSE(irq_.levels[0]) << "everything was read";
  submit_io(1, transfer(false, 0, 1, kData));
  EXPECT_TRUE(irq_.levels[0]);
  set(kIntms, 1 << 3);
  EXPECT_FALSE(irq_.levels[0]);
  EXPECT_EQ(get(kIntmc), 8u);
  set(kIntmc, 1 << 3);
  EXPECT_TRUE(irq_.levels[0]);
  reap_io(1);
  EXPECT_FALSE(irq_.levels[0]);
}

TEST_F(NvmeTest, MessageInterrupts) {
  enable();
  unsigned capability = nvme_->config_read(0x34, 1);
  ASSERT_EQ(nvme_->config_read(static_cast<u8>(capability), 1), 0x11u);
  nvme_->config_write(static_cast<u8>(capability + 2), 2, 0x8000);
  for (const u32 vector : {0u, 2u}) {
    memory.write(PhysicalAddress(kTable + 16 * vector), 4, 0xfee00000);
    memory.write(PhysicalAddress(kTable + 16 * vector + 8), 4, 0x40 + vector);
    memory.write(PhysicalAddress(kTable + 16 * vector + 12), 4, 0);
  }
  create_queues(1, 2);
  EXPECT_EQ(messages_.size(), 2u);
  EXPECT_EQ(messages_.back().second, 0x40u) << "the admin queue has vector 0";
  submit_io(1, transfer(false, 0, 1, kData));
  EXPECT_EQ(messages_.back(), (std::pair<u64, u32>{0xfee00000, 0x42}));
  EXPECT_FALSE(irq_.levels[0]);
}

TEST_F(NvmeTest, Features) {
  enable();
  EXPECT_EQ(admin({0x09, 0, 0, 0, {7, 3 << 16 | 99}}).result, 3u << 16 | 15);
  EXPECT_EQ(admin({0x0a, 0, 0, 0, {7}}).result, 3u << 16 | 15);
  EXPECT_EQ(admin({0x09, 0, 0, 0, {6, 0}}).status, 0);
  EXPECT_EQ(admin({0x0a, 0, 0, 0, {6}}).result, 0u);
  EXPECT_EQ(admin({0x09, 0, 0, 0, {4, 1 << 20 | 250}}).status, 0);
  EXPECT_EQ(admin({0x0a, 0, 0, 0, {4, 1 << 20}}).result, 250u);
  EXPECT_EQ(admin({0x0a, 0, 0, 0, {4}}).result, 343u);
  EXPECT_EQ(admin({0x09, 0, 0, 0, {9, 1 << 16 | 5}}).status, 0);
  EXPECT_EQ(admin({0x0a, 0, 0, 0, {9, 5}}).result, 1u << 16 | 5);
  EXPECT_EQ(admin({0x09, 0, 0, 0, {2, 1}}).status, 0x4002) << "no such power state";
  EXPECT_EQ(admin({0x09, 0, 0, 0, {0x80000006, 1}}).status, 0x410d) << "nothing is saved";
  for (const u32 id : {0u, 3u, 0x0cu, 0x80u, 0xffu}) {
    EXPECT_EQ(admin({0x0a, 0, 0, 0, {id}}).status, 0x4002) << id;
  }
}

TEST_F(NvmeTest, LogPages) {
  enable();
  create_queues(1);
  for (u32 i = 0; i < 3; ++i) io(transfer(false, 0, 8, kData));
  EXPECT_EQ(admin({0x02, 0xffffffff, kData, 0, {127 << 16 | 2}}).status, 0);
  EXPECT_EQ(at<u64>(64), 3u) << "reads";
  EXPECT_EQ(at<u64>(32), 1u) << "thousands of sectors, rounded up";
  EXPECT_EQ(at<u64>(176), 0u);
  io(transfer(false, kSectors, 1, kData));
  EXPECT_EQ(admin({0x02, 0, kData, 0, {15 << 16 | 1}}).status, 0);
  EXPECT_EQ(at<u64>(0), 1u);
  EXPECT_EQ(at<u16>(8), 1) << "queue";
  EXPECT_EQ(at<u16>(12), 0x4080 << 1 & 0xffff);
  EXPECT_EQ(at<u64>(16), kSectors);
  EXPECT_EQ(admin({0x02, 0, kData, 0, {1 << 16 | 3}}).status, 0);
  EXPECT_EQ(at<u8>(0), 1);
  // Part of a page.
  EXPECT_EQ(admin({0x02, 0, kData, 0, {0 << 16 | 5, 0, 1024 + 8}}).status, 0);
  EXPECT_EQ(at<u32>(0), 1u) << "read is supported";
  EXPECT_EQ(admin({0x02, 0, kData, 0, {0 << 16 | 5, 0, 4097}}).status, 0x4002);
  EXPECT_EQ(admin({0x02, 0, kData, 0, {0x70}}).status, 0x4109);
}

TEST_F(NvmeTest, EventsAndAborts) {
  enable();
  const auto request = [&] { submit(admin_, 0, kAdminSubmission, 16, {0x0c, 0}); };
  for (int i = 0; i < 4; ++i) request();
  EXPECT_FALSE(reap(admin_, 0, kAdminCompletion, 16)) << "they wait";
  EXPECT_EQ(admin({0x0c, 0}).status, 0x4105) << "one too many";
  // The first of them is aborted: its completion, then the abort's.
  submit(admin_, 0, kAdminSubmission, 16, {0x08, 0, 0, 0, {100 << 16}});
  auto c = reap(admin_, 0, kAdminCompletion, 16);
  ASSERT_TRUE(c);
  EXPECT_EQ(c->id, 100);
  EXPECT_EQ(c->status, 7);
  c = reap(admin_, 0, kAdminCompletion, 16);
  ASSERT_TRUE(c);
  EXPECT_EQ(c->result, 0u);
  EXPECT_EQ(admin({0x08, 0, 0, 0, {100 << 16}}).result, 1u) << "no longer there";
  ring(9, false, 1);  // no such queue
  c = reap(admin_, 0, kAdminCompletion, 16);
  ASSERT_TRUE(c);
  EXPECT_EQ(c->result, 0x10000u) << "error, invalid doorbell, error log";
  ring(0, true, 16);
  EXPECT_FALSE(reap(admin_, 0, kAdminCompletion, 16)) << "silent until the log is read";
  EXPECT_EQ(admin({0x02, 0, kData, 0, {15 << 16 | 1 << 15 | 1}}).status, 0);
  EXPECT_FALSE(reap(admin_, 0, kAdminCompletion, 16)) << "events retained";
  submit(admin_, 0, kAdminSubmission, 16, {0x02, 0, kData, 0, {15 << 16 | 1}});
  unsigned events = 0;
  while ((c = reap(admin_, 0, kAdminCompletion, 16))) events += c->result == 0x10100;
  EXPECT_EQ(events, 1u) << "invalid doorbell value";
}

TEST_F(NvmeTest, ImagesThatRefuse) {
  make(disk(true));
  enable();
  create_queues(1);
  EXPECT_EQ(io(transfer(true, 0, 1, kData)).status, 0x4020);
  EXPECT_EQ(io({0x08, 1, 0, 0, {0, 0, 0}}).status, 0x4020);
  EXPECT_EQ(admin({0x06, 1, kData, 0, {0}}).status, 0);
  EXPECT_EQ(at<u8>(99), 1);
  make(std::make_shared<BadImage>());
  enable();
  create_queues(1);
  EXPECT_EQ(io(transfer(false, 10, 1, kData)).status, 0x281);
  EXPECT_EQ(io(transfer(true, 10, 1, kData)).status, 0x280);
  EXPECT_EQ(io({0x00, 1}).status, 0x280);
}

TEST_F(NvmeTest, NothingMovesWithoutBusMastering) {
  enable();
  nvme_->config_write(4, 2, 2);
  submit(admin_, 0, kAdminSubmission, 16, {0x0a, 0, 0, 0, {7}});
  EXPECT_FALSE(completion_at(kAdminCompletion, 0).phase);
  nvme_->config_write(4, 2, 6);
  EXPECT_TRUE(completion_at(kAdminCompletion, 0).phase);
}

TEST_F(NvmeTest, StateMoves) {
  enable();
  create_queues(1);
  submit_io(1, transfer(false, 0, 1, kData));
  std::vector<u8> saved;
  nvme_->save(saved);
  power_on();
  EXPECT_FALSE(irq_.levels[0]);
  std::span<const u8> input(saved);
  ASSERT_TRUE(nvme_->load(input));
  EXPECT_TRUE(irq_.levels[0]);
  EXPECT_EQ(reap_io(1)->status, 0);
  EXPECT_EQ(io(transfer(false, 3, 1, kData)).status, 0);
  EXPECT_EQ(ram(kData, 512), sectors(3, 1));
}

TEST_F(NvmeTest, HostileAddresses) {
  enable();
  create_queues(1);
  // Data, lists and whole queues inside its own registers; a list that names itself.
  EXPECT_EQ(io(transfer(false, 0, 8, kBar + 0x1000)).status, 0);
  EXPECT_EQ(get(kCsts), 1u);
  EXPECT_EQ(get(kCc), u32{4 << 20 | 6 << 16 | 1});
  (void)io(transfer(false, 0, 1024, kBar, kBar));
  memory.store<u64>(PhysicalAddress(0x80ff8), 0x80000);
  for (u64 i = 0; i < 511; ++i) memory.store<u64>(PhysicalAddress(0x80000 + 8 * i), 0x80000);
  (void)io(transfer(false, 0, 1024, 0x80000, 0x80ff8));
  memory.store<u64>(PhysicalAddress(0x80000), 0xfffffffffffff000);
  EXPECT_EQ(io(transfer(false, 0, 16, 0xfffffffffffff000, 0x80000)).status, 0);
  ASSERT_EQ(admin({0x05, 0, kBar, 0, {7 << 16 | 2, 3}}).status, 0);
  ASSERT_EQ(admin({0x01, 0, kBar, 0, {7 << 16 | 2, 2 << 16 | 1}}).status, 0);
  ring(2, false, 7);
  EXPECT_EQ(get(kCsts), 1u);
  set(kCc, 0);
  set8(kAsq, kBar);
  set8(kAcq, kBar + 0x1000);
  set(kCc, 1);
  for (u32 i = 0; i < 16; ++i) ring(0, false, i);
}

TEST_F(NvmeTest, RandomCommandsAndDoorbells) {
  std::mt19937 random(7);
  const auto any = [&](u32 below) { return static_cast<u32>(random() % below); };
  for (unsigned round = 0; round < 20000; ++round) {
    if (any(100) == 0 || get(kCsts) != 1) {
      set(kCc, 0);
      set(kAqa, any(4) == 0 ? random() : 15 << 16 | 15);
      set8(kAsq, kAdminSubmission);
      set8(kAcq, kAdminCompletion);
      set(kCc, 4 << 20 | 6 << 16 | 1);
    }
    const unsigned queue = any(3);
    const u64 base = queue == 0 ? kAdminSubmission : submission(queue);
    Entry entry(static_cast<u8>(any(14)), any(8) == 0 ? random() : 1,
                any(16) == 0 ? kBar + any(0x4000) : kData + any(0x400) * 4,
                any(16) == 0 ? random() : 0x80000 + any(512) * 8);
    for (unsigned i = 10; i < 16; ++i) entry.words[i] = any(4) == 0 ? random() : any(40);
    if (queue == 0 && any(2) == 0) {
      entry.words[10] = any(3) | any(20) << 16;
      entry.words[11] = any(3) << 16 | 3;
      entry.words[7] = 0;
      entry.words[6] =
          static_cast<u32>(any(2) == 0 ? submission(1 + any(2)) : completion(1 + any(2)));
    }
    put(base, any(16), entry, static_cast<u16>(round));
    ring(queue, false, any(16));
    if (any(2) == 0) ring(queue, true, any(16));
    if (any(40) == 0) set(any(0x1100), random());
    if (any(200) == 0) {
      std::vector<u8> saved;
      nvme_->save(saved);
      for (unsigned i = 0; i < 16; ++i) {
        saved[256 + random() % (saved.size() - 256)] = static_cast<u8>(random());
      }
      std::span<const u8> input(saved);
      ASSERT_TRUE(nvme_->load(input));
    }
  }
  make(disk());
  enable();
  create_queues(1);
  EXPECT_EQ(io(transfer(false, 9, 1, kData)).status, 0);
  EXPECT_EQ(ram(kData, 512), sectors(9, 1));
}

}  // namespace
}  // namespace dragoman
