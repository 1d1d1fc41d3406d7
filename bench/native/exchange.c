/*
 * Keeps N connections busy: each sends the next request of a file, waits for the whole reply, and goes on. One thread, epoll.
 *
 *   exchange PROTOCOL ADDRESS CONNECTIONS WARM_UP_S SECONDS REQUESTS
 *
 * PROTOCOL  http: one reply is a head and Content-Length octets; its kind is the status
 *           line: one reply is a line; its kind is the first word (Dovecot's auth protocol)
 *           octet: one reply is a datagram; its kind is the first octet (RADIUS)
 * ADDRESS   127.0.0.1:PORT, or the path of a socket
 * REQUESTS  a file of requests, each after its length in four octets, big-endian
 *
 * Prints one line of JSON: replies by kind, the seconds measured, what a reply took (microseconds), this process's own CPU, and how
 * many connections got no reply in that time.
 * What comes during the warm-up is not counted. Exits with 1 when a connection fails.
 */
#define _GNU_SOURCE
#include "measure.h"
#include <strings.h>
#include <sys/epoll.h>
#include <sys/un.h>

enum { MAX_REPLY = 256 * 1024 };

struct connection {
  int fd;
  double sent_at;
  long replies;
  size_t length;
  size_t capacity;
  char *reply;
};

static enum { HTTP, LINE, OCTET } protocol;
static struct text *requests;
static size_t request_count, next_request;

static int dial(const char *address) {
  if (address[0] != '/') return dial_inet(address, protocol == OCTET ? SOCK_DGRAM : SOCK_STREAM);
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  snprintf(to.sun_path, sizeof to.sun_path, "%s", address);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die(address);
  return fd;
}

/* Dovecot says who it is, and wants to hear the same, before it takes requests. */
static void greet(struct connection *c) {
  const char *hello = "VERSION\t1\t2\nCPID\t1\n";
  char line[4096];
  size_t got = 0;
  if (write(c->fd, hello, strlen(hello)) < 0) die("write");
  while (got < 5 || !(memmem(line, got, "\nDONE\n", 6))) {
    ssize_t n = read(c->fd, line + got, sizeof line - got);
    if (n <= 0) die("no greeting");
    got += n;
  }
}

static void ask(struct connection *c) {
  struct text request = requests[next_request++ % request_count];
  c->length = 0;
  c->sent_at = now();
  if (write(c->fd, request.at, request.length) != (ssize_t)request.length) die("write");
}

/* The length of a whole reply; 0 while there is more to come. */
static size_t whole(struct connection *c, const char **kind, size_t *kind_length) {
  switch (protocol) {
  case HTTP: {
    char *end = memmem(c->reply, c->length, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t head = end - c->reply + 4, body = 0;
    for (char *line = c->reply; line < end; line = (char *)memchr(line, '\n', end + 2 - line) + 1) {
      if (!strncasecmp(line, "content-length:", 15)) body = strtoul(line + 15, 0, 10);
    }
    *kind = c->reply + 9;
    *kind_length = 3;
    return c->length >= head + body ? head + body : 0;
  }
  case LINE: {
    char *end = memchr(c->reply, '\n', c->length);
    if (!end) return 0;
    *kind = c->reply;
    *kind_length = strcspn(c->reply, "\t\n");
    return end - c->reply + 1;
  }
  case OCTET: {
    static char name[8];
    *kind_length = snprintf(name, sizeof name, "%d", (unsigned char)c->reply[0]);
    *kind = name;
    return c->length;
  }
  }
  return 0;
}

static void receive(struct connection *c) {
  if (c->length == c->capacity) c->reply = realloc(c->reply, c->capacity = c->capacity ? c->capacity * 2 : 4096);
  if (c->capacity > MAX_REPLY) die("a reply is too long");
  ssize_t n = read(c->fd, c->reply + c->length, c->capacity - c->length);
  if (n <= 0) die("the connection ended");
  c->length += n;
  const char *kind = 0;
  size_t kind_length = 0, length = whole(c, &kind, &kind_length);
  if (length == 0) return;
  if (length != c->length) die("more than was asked for");
  count_reply(kind, kind_length, now() - c->sent_at);
  c->replies += measuring;
  ask(c);
}

int main(int argc, char **argv) {
  if (argc != 7) {
    fprintf(stderr, "usage: exchange http|line|octet ADDRESS CONNECTIONS WARM_UP_S SECONDS REQUESTS\n");
    return 2;
  }
  protocol = !strcmp(argv[1], "http") ? HTTP : !strcmp(argv[1], "line") ? LINE : OCTET;
  int connections = atoi(argv[3]);
  double warm_up = atof(argv[4]), seconds = atof(argv[5]);
  requests = read_texts(argv[6], &request_count);

  int poll = epoll_create1(0);
  struct connection *all = calloc(connections, sizeof *all);
  for (int i = 0; i < connections; i++) {
    all[i].fd = dial(argv[2]);
    if (protocol == LINE) greet(&all[i]);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event) < 0) die("epoll");
  }
  for (int i = 0; i < connections; i++) ask(&all[i]);
  struct epoll_event events[256];
  while (goes_on(warm_up, seconds)) {
    int ready = epoll_wait(poll, events, 256, 1000);
    for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
  }
  int silent = 0;
  for (int i = 0; i < connections; i++) silent += all[i].replies == 0;
  report(silent);
  return 0;
}
