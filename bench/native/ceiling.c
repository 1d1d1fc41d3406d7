/*
 * The raw ceiling: nothing but a search and a bind for each login, over connections that are kept open. One thread, epoll.
 *
 *   ceiling HOST:PORT LOGINS_AT_ONCE WARM_UP_S SECONDS SERVICE_BIND PEOPLE
 *
 * SERVICE_BIND  a file with the bind request of the service account, as it stands on the wire
 * PEOPLE        a file of searches and passwords in turn, each after its length in four octets, big-endian; a search is a
 *               whole LDAP message with the id 2
 *
 * Each login at once has two connections of its own: one that searches, and one that binds as the DN that the search found.
 * Prints one line of JSON, as exchange.c does. Exits with 1 on anything but one entry and a successful bind.
 */
#define _GNU_SOURCE
#include "measure.h"
#include <sys/epoll.h>

enum { BUFFER = 64 * 1024 };

struct login {
  int searcher, binder;
  size_t person, length;
  double began;
  char entries;
  unsigned char dn[2048];
  size_t dn_length;
  unsigned char buffer[BUFFER];
};

/* What epoll tells: which login, and which of its two connections. */
struct end { struct login *login; int fd; };

static struct text *people;
static size_t people_count, next_person;

/* Content of the element at *at; *at goes behind its header, and the length stays within what is there, or -1. */
static long header(const unsigned char *b, size_t end, size_t *at) {
  if (*at + 2 > end) return -1;
  size_t length = b[*at + 1], offset = *at + 2;
  if (length & 0x80) {
    size_t octets = length & 0x7f;
    if (octets == 0 || octets > 4 || offset + octets > end) return -1;
    for (length = 0; octets--; offset++) length = length << 8 | b[offset];
  }
  if (offset + length > end) return -1;
  *at = offset;
  return length;
}

static size_t put_header(unsigned char *to, unsigned char tag, size_t length) {
  size_t at = 0;
  to[at++] = tag;
  if (length < 0x80) to[at++] = length;
  else if (length < 0x100) { to[at++] = 0x81; to[at++] = length; }
  else { to[at++] = 0x82; to[at++] = length >> 8; to[at++] = length; }
  return at;
}

static void search(struct login *l) {
  l->person = next_person++ % people_count;
  l->began = now();
  l->length = 0;
  l->entries = 0;
  struct text request = people[2 * l->person];
  if (write(l->searcher, request.at, request.length) != (ssize_t)request.length) die("write");
}

static void bind_as_found(struct login *l) {
  struct text password = people[2 * l->person + 1];
  unsigned char body[4096], head[32], message[4200];
  size_t at = 0;
  memcpy(body, "\x02\x01\x03", 3);
  at = 3;
  at += put_header(body + at, 0x04, l->dn_length);
  memcpy(body + at, l->dn, l->dn_length);
  at += l->dn_length;
  at += put_header(body + at, 0x80, password.length);
  memcpy(body + at, password.at, password.length);
  at += password.length;
  size_t inner = put_header(head, 0x60, at);
  size_t length = put_header(message, 0x30, 3 + inner + at);
  memcpy(message + length, "\x02\x01\x02", 3);
  length += 3;
  memcpy(message + length, head, inner);
  length += inner;
  memcpy(message + length, body, at);
  length += at;
  l->length = 0;
  if (write(l->binder, message, length) != (ssize_t)length) die("write");
}

static void done(struct login *l) {
  count_reply("accepted", 8, now() - l->began);
  search(l);
}

/* Takes one whole message; 0 when there is none yet, -1 when the operation is over and the buffer may be somebody else's. */
static long take(struct login *l, size_t start) {
  size_t at = start;
  long length = header(l->buffer, l->length, &at);
  if (length < 0) return 0;
  size_t end = at + length;
  long id = header(l->buffer, end, &at);
  if (id < 0) die("malformed");
  at += id;
  unsigned char tag = l->buffer[at];
  long content = header(l->buffer, end, &at);
  if (content < 0) die("malformed");
  switch (tag) {
  case 0x64: {
    long dn = header(l->buffer, end, &at);
    if (dn < 0 || dn > (long)sizeof l->dn || l->entries++) die("no or too many entries");
    memcpy(l->dn, l->buffer + at, dn);
    l->dn_length = dn;
    return end;
  }
  case 0x65:
    if (l->buffer[at + 2] != 0 || !l->entries) die("nobody was found");
    bind_as_found(l);
    return -1;
  case 0x61:
    if (l->buffer[at + 2] != 0) die("the bind was refused");
    done(l);
    return -1;
  default:
    die("an unknown answer");
  }
  return 0;
}

static void receive(struct end *e) {
  struct login *l = e->login;
  ssize_t n = read(e->fd, l->buffer + l->length, BUFFER - l->length);
  if (n <= 0) die("the connection ended");
  l->length += n;
  long start = 0, end;
  while ((end = take(l, start)) > 0) start = end;
  if (end == 0 && start > 0) {
    memmove(l->buffer, l->buffer + start, l->length - start);
    l->length -= start;
  }
}

int main(int argc, char **argv) {
  if (argc != 7) {
    fprintf(stderr, "usage: ceiling HOST:PORT LOGINS_AT_ONCE WARM_UP_S SECONDS SERVICE_BIND PEOPLE\n");
    return 2;
  }
  int count = atoi(argv[2]);
  double warm_up = atof(argv[3]), seconds = atof(argv[4]);
  struct text service = read_file(argv[5]);
  people = read_texts(argv[6], &people_count);
  people_count /= 2;
  int poll = epoll_create1(0);
  struct login *all = calloc(count, sizeof *all);
  for (int i = 0; i < count; i++) {
    struct login *l = &all[i];
    unsigned char answer[256];
    l->searcher = dial_inet(argv[1], SOCK_STREAM);
    l->binder = dial_inet(argv[1], SOCK_STREAM);
    if (write(l->searcher, service.at, service.length) < 0 || read(l->searcher, answer, sizeof answer) < 12 || answer[9] != 0)
      die("the service account's bind");
    int fds[2] = {l->searcher, l->binder};
    for (int j = 0; j < 2; j++) {
      struct end *e = malloc(sizeof *e);
      *e = (struct end){l, fds[j]};
      struct epoll_event event = {.events = EPOLLIN, .data.ptr = e};
      if (epoll_ctl(poll, EPOLL_CTL_ADD, fds[j], &event) < 0) die("epoll");
    }
  }
  for (int i = 0; i < count; i++) search(&all[i]);
  struct epoll_event events[256];
  while (goes_on(warm_up, seconds)) {
    int ready = epoll_wait(poll, events, 256, 1000);
    for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
  }
  report(0);
  return 0;
}
