/* Asks for names and connects, statically linked and without a resolver: each verb prints what it got. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One question for an A record, as bytes; gives the code of the answer and its address. */
static int ask(const char *name, char *address)
{
    unsigned char packet[1500] = { 0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0 };
    size_t used = 12;
    for (const char *at = name; *at;) {
        size_t length = strcspn(at, ".");
        packet[used++] = (unsigned char)length;
        memcpy(packet + used, at, length);
        used += length;
        at += length + (at[length] == '.');
    }
    used++;
    packet[used + 1] = 1;
    packet[used + 3] = 1;
    used += 4;
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53) };
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    int socket_ = socket(AF_INET, SOCK_DGRAM, 0);
    if (sendto(socket_, packet, used, 0, (struct sockaddr *)&to, sizeof to) < 0) {
        puts(strerror(errno));
        return -1;
    }
    ssize_t got = recv(socket_, packet, sizeof packet, 0);
    close(socket_);
    if (got < 12)
        return -1;
    *address = 0;
    if (packet[7] == 1)
        inet_ntop(AF_INET, packet + got - 4, address, INET_ADDRSTRLEN);
    return packet[3] & 15;
}

static int reach(const char *address, int kind, int port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    inet_pton(AF_INET, address, &to.sin_addr);
    int socket_ = socket(AF_INET, kind, 0);
    if (connect(socket_, (struct sockaddr *)&to, sizeof to) < 0) {
        puts(strerror(errno));
        return -1;
    }
    return socket_;
}

int main(int argc, char **argv)
{
    char address[INET_ADDRSTRLEN] = "";
    if (argc < 3)
        return 2;
    if (!strcmp(argv[1], "name")) {
        int code = ask(argv[2], address);
        printf(*address ? "%d %s\n" : "%d\n", code, address);
    } else if (!strcmp(argv[1], "fetch")) {
        char text[4096];
        if (ask(argv[2], address))
            return 1;
        int socket_ = reach(address, SOCK_STREAM, 80);
        int length = snprintf(text, sizeof text, "GET /static HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", argv[2]);
        if (write(socket_, text, length) != length)
            return 1;
        for (ssize_t got; (got = read(socket_, text, sizeof text)) > 0;)
            fwrite(text, 1, got, stdout);
    } else if (!strcmp(argv[1], "datagram")) {
        if (reach(argv[2], SOCK_DGRAM, 53) >= 0)
            puts("reached");
    } else if (!strcmp(argv[1], "connect")) {
        if (reach(argv[2], SOCK_STREAM, 80) >= 0)
            puts("reached");
    }
    return 0;
}
