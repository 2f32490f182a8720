// The VNC display: the protocol with a small viewer, its encodings, keys, bad input.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <random>

#include "frontends/vnc/rfb_connection.h"
#include "frontends/vnc/vnc_auth.h"
#include "frontends/vnc/vnc_display.h"
#include "frontends/vnc/vnc_keys.h"
#include "tests/frontends/process.h"
#include "tests/frontends/vnc_viewer.h"

namespace dragoman {
namespace {

Bytes encodings(const std::vector<i32>& list) {
  Bytes out = {2, 0};
  put_number(list.size(), 2, out);
  for (const i32 e : list) put_number(static_cast<u32>(e), 4, out);
  return out;
}

Bytes update_request(bool incremental, unsigned w, unsigned h) {
  Bytes out = {3, incremental};
  put_number(0, 4, out);
  put_number(w, 2, out);
  put_number(h, 2, out);
  return out;
}

class Vnc : public testing::Test {
 protected:
  Vnc() : viewer_([this] { return std::exchange(connection_->output(), {}); }) {
    screen_.size = {200, 75};
    screen_.pixels.resize(200 * 75);
    std::mt19937 random(4);
    for (u64 i = 0; i < screen_.pixels.size(); ++i) {  // areas of one, few and many colours
      const u64 x = i % 200;
      screen_.pixels[i] = x < 70    ? 0x102030
                          : x < 140 ? 0x400000 * (x / 5 % 3)
                                    : static_cast<u32>(random() & 0xffffff);
    }
    input_.key = [this](Key key, bool pressed) {
      happened_.push_back(fmt::format("key {} {}", static_cast<int>(key), pressed));
    };
    input_.move = [this](int dx, int dy, int dz) {
      happened_.push_back(fmt::format("move {} {} {}", dx, dy, dz));
    };
    input_.buttons = [this](u8 mask) { happened_.push_back(fmt::format("buttons {}", mask)); };
    options_.name = "test";
    connect();
  }
  void connect() {
    for (unsigned i = 0; i < 16; ++i) challenge_[i] = static_cast<u8>(i * 7);
    connection_ = std::make_unique<RfbConnection>(options_, screen_, input_, challenge_);
  }
  void feed(const Bytes& bytes) { connection_->feed(bytes); }
  void greet() {
    EXPECT_EQ(viewer_.take(12), text("RFB 003.008\n"));
    feed(text("RFB 003.008\n"));
    EXPECT_EQ(viewer_.take(2), (Bytes{1, 1}));
    feed({1});
    EXPECT_EQ(viewer_.number(4), 0u);
    feed({1});
    viewer_.server_init();
  }
  static std::string key_text(Key key, bool pressed) {
    return fmt::format("key {} {}", static_cast<int>(key), pressed);
  }

  RfbOptions options_;
  RfbScreen screen_;
  RfbInput input_;
  std::array<u8, 16> challenge_{};
  std::unique_ptr<RfbConnection> connection_;
  Viewer viewer_;
  std::vector<std::string> happened_;
};

TEST(VncAuth, DesAndResponse) {
  // FIPS 46 example: key 133457799BBCDFF1, plain 0123456789ABCDEF.
  const std::array<u8, 8> key = {0x13, 0x34, 0x57, 0x79, 0x9b, 0xbc, 0xdf, 0xf1};
  const std::array<u8, 8> plain = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
  const std::array<u8, 8> cipher = {0x85, 0xe8, 0x13, 0x54, 0x0f, 0x0a, 0xb4, 0x05};
  EXPECT_EQ(des_encrypt(key, plain), cipher);
  const std::array<u8, 16> challenge{};
  EXPECT_EQ(vnc_response("password", challenge), vnc_response("password and more", challenge));
  EXPECT_NE(vnc_response("password", challenge), vnc_response("passwore", challenge));
}

TEST_F(Vnc, GreetsEveryVersion) {
  greet();
  EXPECT_EQ(viewer_.name, "test");
  EXPECT_EQ(viewer_.width, 200u);
  EXPECT_EQ(viewer_.height, 75u);
  for (const char* version : {"RFB 003.003\n", "RFB 003.005\n", "RFB 003.007\n", "RFB 003.889\n"}) {
    connect();
    viewer_.take(12);
    feed(text(version));
    if (version[10] == '7' || version[8] == '8') {
      EXPECT_EQ(viewer_.take(2), (Bytes{1, 1})) << version;
      feed({1});
      if (version[8] == '8') {
        EXPECT_EQ(viewer_.number(4), 0u);
      }
    } else {
      EXPECT_EQ(viewer_.number(4), 1u) << version;
    }
    feed({0});
    viewer_.server_init();
    EXPECT_TRUE(connection_->running()) << version;
    EXPECT_TRUE(viewer_.empty()) << version;
  }
  for (const char* wrong : {"GET / HTTP/1.1\r\n\r\n", "RFB 004.000\n"}) {
    connect();
    feed(text(wrong));
    EXPECT_TRUE(connection_->closed()) << wrong;
  }
}

TEST_F(Vnc, AsksForThePassword) {
  options_.password = "secret";
  for (const bool good : {true, false}) {
    for (const char* version : {"RFB 003.003\n", "RFB 003.007\n", "RFB 003.008\n"}) {
      connect();
      viewer_.take(12);
      feed(text(version));
      if (version[10] == '3') {
        EXPECT_EQ(viewer_.number(4), 2u);
      } else {
        EXPECT_EQ(viewer_.take(2), (Bytes{1, 2}));
        feed({2});
      }
      const Bytes challenge = viewer_.take(16);
      EXPECT_TRUE(std::equal(challenge.begin(), challenge.end(), challenge_.begin()));
      const auto response = vnc_response(good ? "secret" : "Secret", challenge_);
      feed({response.begin(), response.end()});
      EXPECT_EQ(viewer_.number(4), good ? 0u : 1u) << version;
      EXPECT_EQ(connection_->closed(), !good);
      if (!good && version[10] == '8') viewer_.take(viewer_.number(4));
      if (!good) continue;
      feed({1});
      viewer_.server_init();
    }
  }
  connect();  // nobody gets in by choosing no authentication
  viewer_.take(12);
  feed(text("RFB 003.008\n"));
  viewer_.take(2);
  feed({1, 1});
  EXPECT_TRUE(connection_->closed());
}

TEST_F(Vnc, EveryEncodingShowsThePicture) {
  greet();
  for (const i32 encoding : {0, 5, 6, 16}) {
    SCOPED_TRACE(encoding);
    feed(encodings({encoding}));
    for (int round = 0; round < 2; ++round) {  // streams go on
      viewer_.pixels.assign(viewer_.pixels.size(), 0);
      feed(update_request(false, 200, 75));
      EXPECT_TRUE(viewer_.update().empty());
      EXPECT_EQ(viewer_.pixels, screen_.pixels);
    }
  }
}

TEST_F(Vnc, PixelFormats) {
  greet();
  Bytes format = {0, 0, 0, 0, 16, 16, 0, 1};
  for (const unsigned max : {31, 63, 31}) put_number(max, 2, format);
  for (const u8 shift : {11, 5, 0, 0, 0, 0}) format.push_back(shift);
  feed(format);
  viewer_.pixel_bytes = 2;
  for (const i32 encoding : {0, 5, 6, 16}) {
    feed(encodings({encoding}));
    feed(update_request(false, 200, 75));
    viewer_.update();
    for (std::size_t i = 0; i < screen_.pixels.size(); ++i) {
      const u32 p = screen_.pixels[i];
      const u32 red = ((p >> 16) * 31 + 127) / 255;
      const u32 green = ((p >> 8 & 255) * 63 + 127) / 255;
      const u32 blue = ((p & 255) * 31 + 127) / 255;
      ASSERT_EQ(viewer_.pixels[i], red << 11 | green << 5 | blue) << encoding << " pixel " << i;
    }
  }
  format[4] = 24;  // no such size
  feed(format);
  EXPECT_TRUE(connection_->closed());
}

TEST_F(Vnc, SendsOnlyWhatChanged) {
  greet();
  feed(encodings({5}));
  feed(update_request(false, 200, 75));
  viewer_.update();
  feed(update_request(true, 200, 75));
  EXPECT_TRUE(connection_->output().empty()) << "nothing changed";
  screen_.pixels[30 * 200 + 100] = 0xffffff;
  connection_->changed({100, 30, 1, 1});
  viewer_.area_pixels = 0;
  connection_->update();
  viewer_.update();
  EXPECT_EQ(viewer_.area_pixels, 256u);
  EXPECT_EQ(viewer_.pixels, screen_.pixels);
  connection_->changed({0, 0, 200, 75});
  connection_->update();
  EXPECT_TRUE(connection_->output().empty()) << "nobody asked";
}

TEST_F(Vnc, NewSizes) {
  greet();
  feed(encodings({16, -223}));
  feed(update_request(false, 200, 75));
  viewer_.update();
  for (const Size size : {Size{321, 123}, Size{64, 16}}) {
    screen_.size = size;
    screen_.pixels.assign(u64{size.width} * size.height, size.width * 0x101);
    connection_->changed({0, 0, size.width, size.height});
    feed(update_request(true, 200, 75));
    EXPECT_EQ(viewer_.update(), std::vector<i32>{-223});
    feed(update_request(true, size.width, size.height));
    viewer_.update();
    EXPECT_EQ(viewer_.pixels, screen_.pixels);
  }
  // A viewer that keeps its size sees what fits.
  connect();
  greet();
  screen_.size = {100, 40};
  screen_.pixels.assign(4000, 7);
  feed(update_request(false, 64, 16));
  viewer_.update();
  EXPECT_EQ(viewer_.pixels, std::vector<u32>(64 * 16, 7));
}

TEST_F(Vnc, KeysAndMouse) {
  greet();
  const auto key_event = [&](u32 keysym, bool down) {
    Bytes out = {4, down, 0, 0};
    put_number(keysym, 4, out);
    feed(out);
  };
  key_event('A', true);
  key_event('A', false);
  key_event(0xff0d, true);
  key_event(0x20ac, true);  // no such key
  key_event('q', false);    // was not down
  connection_->release_keys();
  EXPECT_EQ(happened_,
            (std::vector<std::string>{key_text(Key::kA, true), key_text(Key::kA, false),
                                      key_text(Key::kEnter, true), key_text(Key::kEnter, false)}));
  happened_.clear();
  const auto pointer = [&](u8 buttons, unsigned x, unsigned y) {
    Bytes out = {5, buttons};
    put_number(x, 2, out);
    put_number(y, 2, out);
    feed(out);
  };
  pointer(0, 10, 10);
  pointer(4, 15, 7);
  pointer(0, 15, 7);
  pointer(16, 15, 7);
  EXPECT_EQ(happened_,
            (std::vector<std::string>{"move 5 -3 0", "buttons 2", "buttons 0", "move 0 0 1"}));
  happened_.clear();
  feed(encodings({0, -257, -258}));
  feed(update_request(true, 200, 75));
  EXPECT_EQ(viewer_.update(), (std::vector<i32>{-257, -258}));
  pointer(0, 0x7fff + 3, 0x7fff - 4);
  Bytes extended = {255, 0, 0, 1};
  put_number('z', 4, extended);  // the position counts: this is Y of a German keyboard
  put_number(0x15, 4, extended);
  feed(extended);
  EXPECT_EQ(happened_, (std::vector<std::string>{"move 3 -4 0", key_text(Key::kY, true)}));
}

TEST(VncKeys, ScanCodesAndKeysyms) {
  EXPECT_EQ(key_of_scan_code(1), Key::kEscape);
  EXPECT_EQ(key_of_scan_code(0x58), Key::kF12);
  EXPECT_EQ(key_of_scan_code(0x56), Key::k102nd);
  EXPECT_EQ(key_of_scan_code(0x53), Key::kPadPeriod);
  EXPECT_EQ(key_of_scan_code(0xe053), Key::kDelete);
  EXPECT_EQ(key_of_scan_code(0xd3), Key::kDelete);
  EXPECT_EQ(key_of_scan_code(0x9d), Key::kRightCtrl);
  for (const u32 none : {0u, 0x55u, 0x59u, 0x80u, 0x1000u, ~0u}) {
    EXPECT_EQ(key_of_scan_code(none), std::nullopt) << none;
  }
  EXPECT_EQ(key_of_keysym('!'), Key::k1);
  EXPECT_EQ(key_of_keysym('?'), Key::kSlash);
  EXPECT_EQ(key_of_keysym(0xffc9), Key::kF12);
  EXPECT_EQ(key_of_keysym(0xfe03), Key::kRightAlt);
  EXPECT_EQ(key_of_keysym(0xffca), std::nullopt);
}

TEST_F(Vnc, PastedTextIsPassedOver) {
  greet();
  Bytes out = {6, 0, 0, 0};
  put_number(100'000, 4, out);
  feed(out);
  for (int i = 0; i < 10; ++i) feed(Bytes(10'000, 4));
  feed({4, 1, 0, 0, 0, 0, 0, 'x'});
  EXPECT_EQ(happened_, std::vector<std::string>{key_text(Key::kX, true)});
}

TEST_F(Vnc, AnyInputIsSurvived) {
  std::mt19937 random(11);
  for (int round = 0; round < 2000; ++round) {
    connect();
    Bytes all = text("RFB 003.008\n");
    all.insert(all.end(), {1, 1});
    for (int i = 0; i < 40; ++i) {
      static constexpr u8 kTypes[] = {0, 2, 3, 3, 4, 5, 6, 255};
      all.push_back(random() % 10 == 0 ? static_cast<u8>(random()) : kTypes[random() % 8]);
      for (u64 n = random() % 24; n > 0; --n) {
        all.push_back(static_cast<u8>(random() % 3 == 0 ? random() : random() % 3));
      }
    }
    if (round % 3 == 0) all[random() % all.size()] = static_cast<u8>(random());
    for (std::size_t at = 0; at < all.size();) {
      const std::size_t run = std::min<std::size_t>(1 + random() % 64, all.size() - at);
      connection_->feed(std::span(all).subspan(at, run));
      at += run;
      connection_->changed({static_cast<unsigned>(random() % 300),
                            static_cast<unsigned>(random() % 99),
                            static_cast<unsigned>(random() % 300), 5});
      connection_->update();
      if (random() % 2 == 0) connection_->output().clear();
    }
    connection_->release_keys();
    EXPECT_LT(connection_->output().size(), 4u << 20) << "output is bounded";
  }
}

TEST(VncAddress, Parses) {
  const auto good = VncAddress::parse("127.0.0.1:2");
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(good->port, 5902);
  EXPECT_EQ(VncAddress::parse(":0")->host, "127.0.0.1") << "this host only";
  EXPECT_EQ(VncAddress::parse("[::1]:0")->host, "::1");
  EXPECT_EQ(VncAddress::parse("0.0.0.0:1,password-file=/p")->password_file, "/p");
  for (const char* bad : {"", "host", ":", ":x", ":99999", ":1,to=9", ":-1"}) {
    EXPECT_FALSE(VncAddress::parse(bad).ok()) << bad;
  }
}

TEST(VncProgram, RefusesStrangersWithoutPassword) {
  Finished run = run_dragoman({"-vnc", "0.0.0.0:7"});
  EXPECT_EQ(run.code, 1);
  EXPECT_NE(run.err.find("password-file"), std::string::npos) << run.err;
  run = run_dragoman({"-display", "vnc=nonsense"});
  EXPECT_EQ(run.code, 2);
  run = run_dragoman({"-vnc", "0.0.0.0:7,password-file=/nowhere/p"});
  EXPECT_EQ(run.code, 1);
  EXPECT_NE(run.err.find("/nowhere/p"), std::string::npos) << run.err;
}

/// A display number whose port nobody uses now; 0 when there is none.
int free_display() {
  for (int i = 0; i < 100; ++i) {
    const int probe = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    const bool bound = bind(probe, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
                       getsockname(probe, reinterpret_cast<sockaddr*>(&address), &length) == 0;
    close(probe);
    if (bound && ntohs(address.sin_port) > 5900) return ntohs(address.sin_port) - 5900;
  }
  return 0;
}

TEST(VncProgram, ShowsTheScreenOfTheMachine) {
  const int display = free_display();
  ASSERT_GT(display, 0);
  const std::string where = fmt::format(":{}", display);
  const pid_t program = fork();
  if (program == 0) {
    const int null = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3; ++i) dup2(null, i);
    execl(DRAGOMAN_BINARY_DIR "/dragoman", "dragoman", "-vnc", where.c_str(), "-m", "32",
          "--timeout", kHangTimeout.c_str(), nullptr);
    _exit(127);
  }
  int fd = -1;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kHangSeconds);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<u16>(5900 + display));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bool connected = false;
  while (!connected && std::chrono::steady_clock::now() < deadline) {
    fd = socket(AF_INET, SOCK_STREAM, 0);
    connected = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    if (!connected) close(fd);
  }
  if (connected) {
    const auto send_all = [&](const Bytes& bytes) {
      EXPECT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(bytes.size()));
    };
    Viewer viewer([&] {
      Bytes bytes(65536);
      pollfd entry{fd, POLLIN, 0};
      if (poll(&entry, 1, kHangSeconds * 1000) <= 0) return Bytes();
      const ssize_t n = recv(fd, bytes.data(), bytes.size(), 0);
      bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
      return bytes;
    });
    viewer.take(12);
    send_all(text("RFB 003.008\n"));
    viewer.take(2);
    send_all({1});
    viewer.number(4);
    send_all({1});
    viewer.server_init();
    EXPECT_EQ(viewer.name, "Dragoman");
    send_all(encodings({16, -223}));
    send_all(update_request(false, viewer.width, viewer.height));
    // Firmware and the built-in image write text: some pixels are light.
    u64 light = 0;
    while (light < 500 && !HasFailure() && std::chrono::steady_clock::now() < deadline) {
      viewer.update();
      light = static_cast<u64>(std::count_if(viewer.pixels.begin(), viewer.pixels.end(), [](u32 p) {
        return p != 0xdeadbeef && (p & 0x808080) == 0x808080;
      }));
      send_all(update_request(true, viewer.width, viewer.height));
    }
    EXPECT_GE(light, 500u);
    close(fd);
  }
  kill(program, SIGTERM);
  int status = 0;
  waitpid(program, &status, 0);
  EXPECT_TRUE(connected);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "ended by SIGTERM in good order";
}

}  // namespace
}  // namespace dragoman
