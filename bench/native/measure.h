/* What both clients share: time, files of length-prefixed texts, connections over TCP, and the line of JSON at the end. */
#ifndef MEASURE_H
#define MEASURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct text { const unsigned char *at; size_t length; };

static void die(const char *what) {
  fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, errno ? strerror(errno) : "unexpected");
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static double own_cpu(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static struct text read_file(const char *path) {
  int fd = open(path, O_RDONLY);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) < 0) die(path);
  unsigned char *all = malloc(st.st_size + 1);
  for (off_t got = 0; got < st.st_size;) {
    ssize_t n = read(fd, all + got, st.st_size - got);
    if (n <= 0) die(path);
    got += n;
  }
  close(fd);
  return (struct text){all, st.st_size};
}

/* A file of texts, each after its length in four octets, big-endian. */
static struct text *read_texts(const char *path, size_t *count) {
  struct text all = read_file(path), *texts = 0;
  size_t capacity = 0;
  *count = 0;
  for (size_t at = 0; at + 4 <= all.length;) {
    const unsigned char *p = all.at + at;
    size_t length = (size_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
    if (*count == capacity) texts = realloc(texts, (capacity = capacity ? capacity * 2 : 1024) * sizeof *texts);
    texts[(*count)++] = (struct text){p + 4, length};
    at += 4 + length;
  }
  if (*count == 0) die("nothing to send");
  return texts;
}

/* Connects to HOST:PORT; the host is an IPv4 address. */
static int dial_inet(const char *address, int type) {
  char host[64];
  snprintf(host, sizeof host, "%s", address);
  char *colon = strrchr(host, ':');
  if (!colon) die(address);
  *colon = 0;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
  if (inet_pton(AF_INET, host, &to.sin_addr) != 1) die(address);
  int fd = socket(AF_INET, type, 0), on = 1;
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die(address);
  if (type == SOCK_STREAM) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

/* Replies and what each took, from the end of the warm-up on. */
enum { MAX_KINDS = 64, MAX_KIND = 16 };
static struct { char name[MAX_KIND]; long count; } kinds[MAX_KINDS];
static int kind_count, measuring;
static unsigned *took;
static size_t took_count, took_capacity;
static double begun, cpu_begun;

static void count_reply(const char *name, size_t length, double seconds) {
  if (!measuring) return;
  if (length >= MAX_KIND) length = MAX_KIND - 1;
  int i = 0;
  while (i < kind_count && (strncmp(kinds[i].name, name, length) || kinds[i].name[length])) i++;
  if (i == kind_count) {
    if (kind_count == MAX_KINDS) die("too many kinds of replies");
    memcpy(kinds[kind_count++].name, name, length);
  }
  kinds[i].count++;
  if (took_count == took_capacity) took = realloc(took, (took_capacity = took_capacity ? took_capacity * 2 : 65536) * sizeof *took);
  took[took_count++] = seconds * 1e6;
}

/* To be called between two waits. Whether there is more to do: first the warm-up, then the seconds that count. */
static int goes_on(double warm_up, double seconds) {
  double t = now();
  if (begun == 0) begun = t;
  if (!measuring && t >= begun + warm_up) {
    measuring = 1;
    begun = t;
    cpu_begun = own_cpu();
    printf("measuring\n");
    fflush(stdout);
  }
  return !measuring || t < begun + seconds;
}

static int ascending(const void *a, const void *b) {
  unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
  return (x > y) - (x < y);
}

/* One line of JSON: the seconds that counted, microseconds a reply took, this process's own CPU, and replies by kind. */
static void report(int silent) {
  double seconds = now() - begun, cpu = own_cpu() - cpu_begun;
  printf("measured\n");
  fflush(stdout);
  qsort(took, took_count, sizeof *took, ascending);
  printf("{\"seconds\":%.6f,\"p50\":%u,\"p99\":%u,\"cpu\":%.6f,\"silent\":%d,\"kinds\":{", seconds, took_count ? took[took_count / 2] : 0,
         took_count ? took[(size_t)(took_count * 0.99)] : 0, cpu, silent);
  for (int i = 0; i < kind_count; i++) printf("%s\"%s\":%ld", i ? "," : "", kinds[i].name, kinds[i].count);
  printf("}}\n");
}

#endif
