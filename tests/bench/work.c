// Programs of the benchmark guest that need nothing but a kernel, and the clock around all others.
// Linked statically; runs in the guest and, for comparison, on the host.
//
//   work timed NAME FILE COMMAND...   runs COMMAND with its output in FILE, prints its time
//   work fork|pipe|syscall|fault|switch|float|matrix COUNT
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static void fail(const char* what) {
  fprintf(stderr, "work: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double seconds_between(const struct timespec* start, const struct timespec* end) {
  return (double)(end->tv_sec - start->tv_sec) + (double)(end->tv_nsec - start->tv_nsec) * 1e-9;
}

static double seconds_of(const struct timeval* time) {
  return (double)time->tv_sec + (double)time->tv_usec * 1e-6;
}

// The lines go out before the clock starts and after it has stopped, so that a reader at the other
// end of the serial port can take the time too.
static int timed(int count, char** words) {
  if (count < 3) return 2;
  printf("BENCH-BEGIN %s\n", words[0]);
  fflush(stdout);
  tcdrain(STDOUT_FILENO);

  struct timespec start;
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  const pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    const int output = open(words[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    const int input = open("/dev/null", O_RDONLY);
    if (output < 0) fail(words[1]);
    if (input < 0) fail("/dev/null");
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    execv(words[2], words + 2);
    fail(words[2]);
  }
  int status;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) fail("waitpid");
  }
  clock_gettime(CLOCK_MONOTONIC, &end);

  struct rusage usage;
  getrusage(RUSAGE_CHILDREN, &usage);
  printf("BENCH-END %s %.6f %.6f %d\n", words[0], seconds_between(&start, &end),
         seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime), status);
  fflush(stdout);
  return status == 0 ? 0 : 1;
}

// ---- Kernel ----

static void fork_exec(long count, const char* self) {
  long done = 0;
  for (long i = 0; i < count; ++i) {
    const pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
      execl(self, self, "nothing", "0", (char*)NULL);
      _exit(127);
    }
    int status;
    if (waitpid(child, &status, 0) != child) fail("waitpid");
    done += WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  printf("fork %ld\n", done);
}

// One byte goes to another process and comes back.
static void pipe_ping_pong(long count) {
  int there[2];
  int back[2];
  if (pipe(there) != 0 || pipe(back) != 0) fail("pipe");
  const pid_t child = fork();
  if (child < 0) fail("fork");
  char byte = 1;
  if (child == 0) {
    close(there[1]);
    while (read(there[0], &byte, 1) == 1) {
      byte = (char)(byte + 3);
      if (write(back[1], &byte, 1) != 1) _exit(1);
    }
    _exit(0);
  }
  for (long i = 0; i < count; ++i) {
    if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) fail("pipe");
  }
  close(there[1]);
  waitpid(child, NULL, 0);
  printf("pipe %ld %d\n", count, byte & 0xff);
}

static void system_calls(long count) {
  long parent = 0;
  const long expected = syscall(SYS_getppid);
  for (long i = 0; i < count; ++i) parent += syscall(SYS_getppid) == expected;
  printf("syscall %ld\n", parent);
}

static void page_faults(long count) {
  enum { kBytes = 4 << 20, kPage = 4096 };
  unsigned long sum = 0;
  for (long i = 0; i < count; ++i) {
    unsigned char* area =
        mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) fail("mmap");
    madvise(area, kBytes, MADV_NOHUGEPAGE);
    for (long at = 0; at < kBytes; at += kPage) {
      area[at] = (unsigned char)(at >> 12);
      sum += area[at];
    }
    munmap(area, kBytes);
  }
  printf("fault %lu\n", sum);
}

// Two processes on one processor give it to each other.
static void switches(long count) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  sched_setaffinity(0, sizeof one, &one);
  const pid_t child = fork();
  if (child < 0) fail("fork");
  for (long i = 0; i < count; ++i) sched_yield();
  if (child == 0) _exit(0);
  int status;
  waitpid(child, &status, 0);
  printf("switch %ld %d\n", count, status);
}

// ---- Floating point ----

struct body {
  double at[3], speed[3], mass;
};

static double planets(long steps) {
  struct body bodies[5] = {
      {{0, 0, 0}, {0, 0, 0}, 39.47841760435743},
      {{4.841, -1.160, -0.103}, {0.606, 2.812, -0.025}, 0.03769367487},
      {{8.343, 4.124, -0.403}, {-1.010, 1.825, 0.0084}, 0.01128632613},
      {{12.894, -15.111, -0.223}, {1.082, 0.868, -0.0108}, 0.00172372405},
      {{15.379, -25.919, 0.179}, {0.979, 0.594, -0.0347}, 0.00203368686},
  };
  for (long step = 0; step < steps; ++step) {
    for (int i = 0; i < 5; ++i) {
      for (int j = i + 1; j < 5; ++j) {
        double distance[3];
        double square = 0;
        for (int k = 0; k < 3; ++k) {
          distance[k] = bodies[i].at[k] - bodies[j].at[k];
          square += distance[k] * distance[k];
        }
        const double pull = 0.001 / (square * sqrt(square));
        for (int k = 0; k < 3; ++k) {
          bodies[i].speed[k] -= distance[k] * bodies[j].mass * pull;
          bodies[j].speed[k] += distance[k] * bodies[i].mass * pull;
        }
      }
    }
    for (int i = 0; i < 5; ++i) {
      for (int k = 0; k < 3; ++k) bodies[i].at[k] += 0.001 * bodies[i].speed[k];
    }
  }
  double energy = 0;
  for (int i = 0; i < 5; ++i) {
    for (int k = 0; k < 3; ++k) energy += bodies[i].mass * bodies[i].speed[k] * bodies[i].speed[k];
  }
  return energy / 2;
}

static long mandelbrot(long rows) {
  enum { kColumns = 2000 };
  long inside = 0;
  for (long row = 0; row < rows; ++row) {
    for (long column = 0; column < kColumns; ++column) {
      const double real = 3.0 * (double)column / kColumns - 2.0;
      const double imaginary = 2.0 * (double)row / (double)rows - 1.0;
      double x = 0;
      double y = 0;
      int turn = 0;
      for (; turn < 50 && x * x + y * y < 4.0; ++turn) {
        const double next = x * x - y * y + real;
        y = 2 * x * y + imaginary;
        x = next;
      }
      inside += turn == 50;
    }
  }
  return inside;
}

// Rounded to what every variant of the C library's functions agrees on.
static double functions(long count) {
  double sum = 0;
  for (long i = 1; i <= count; ++i) {
    const double x = (double)i * 0.001;
    sum += sin(x) * exp(-x * 1e-4) + log(x) * cos(x) + pow(x, 0.3) + atan2(x, 2.0) + tanh(x * 0.01);
  }
  return sum;
}

static void floating(long count) {
  printf("float %.9e %ld %.9e\n", planets(count * 1000), mandelbrot(count),
         functions(count * 2500));
}

enum { kSide = 256 };
static double left[kSide][kSide], right[kSide][kSide], product[kSide][kSide];
static float small_left[kSide][kSide], small_right[kSide][kSide], small_product[kSide][kSide];

static void matrices(long count) {
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      left[i][j] = (double)((i * 7 + j * 3) % 17) / 16.0;
      right[i][j] = (double)((i * 5 + j * 11) % 13) / 8.0;
      small_left[i][j] = (float)left[i][j];
      small_right[i][j] = (float)right[i][j];
    }
  }
  double trace = 0;
  for (long turn = 0; turn < count; ++turn) {
    memset(product, 0, sizeof product);
    memset(small_product, 0, sizeof small_product);
    for (int i = 0; i < kSide; ++i) {
      for (int k = 0; k < kSide; ++k) {
        const double factor = left[i][k];
        for (int j = 0; j < kSide; ++j) product[i][j] += factor * right[k][j];
      }
    }
    for (int i = 0; i < kSide; ++i) {
      for (int k = 0; k < kSide; ++k) {
        const float factor = small_left[i][k];
        for (int j = 0; j < kSide; ++j) small_product[i][j] += factor * small_right[k][j];
      }
    }
    for (int i = 0; i < kSide; ++i) trace += product[i][i] + (double)small_product[i][i];
    left[turn % kSide][turn % 7] += 0.25;
  }
  printf("matrix %.9e\n", trace);
}

int main(int argc, char** argv) {
  if (argc >= 2 && strcmp(argv[1], "timed") == 0) return timed(argc - 2, argv + 2);
  if (argc != 3) {
    fprintf(stderr, "usage: work NAME COUNT, or work timed NAME FILE COMMAND...\n");
    return 2;
  }
  const char* name = argv[1];
  const long count = atol(argv[2]);
  if (strcmp(name, "nothing") == 0) return 0;
  if (strcmp(name, "fork") == 0)
    fork_exec(count, argv[0]);
  else if (strcmp(name, "pipe") == 0)
    pipe_ping_pong(count);
  else if (strcmp(name, "syscall") == 0)
    system_calls(count);
  else if (strcmp(name, "fault") == 0)
    page_faults(count);
  else if (strcmp(name, "switch") == 0)
    switches(count);
  else if (strcmp(name, "float") == 0)
    floating(count);
  else if (strcmp(name, "matrix") == 0)
    matrices(count);
  else {
    fprintf(stderr, "work: no program is called %s\n", name);
    return 2;
  }
  return 0;
}
