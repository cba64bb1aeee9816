// launchers HOW PROGRAM ARGUMENT ARGUMENT: starts the program through one member of the exec family,
// its environment cleared (where the call takes one, with an empty one; else after clearenv).
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *nothing[] = {NULL};

static int await(pid_t pid) {
    int status = 0;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    const char *how = argv[1];
    char **words = argv + 2;
    const char *program = words[0], *first = words[1], *second = words[2];
    char line[8192];
    snprintf(line, sizeof line, "'%s' '%s' '%s'", program, first, second);
    pid_t pid = 0;
    if (strcmp(how, "execve") == 0)
        execve(program, words, nothing);
    if (strcmp(how, "execvpe") == 0)
        execvpe(program, words, nothing);
    if (strcmp(how, "execle") == 0)
        execle(program, program, first, second, (char *)NULL, nothing);
    if (strcmp(how, "execveat") == 0)
        execveat(AT_FDCWD, program, words, nothing, 0);
    if (strcmp(how, "fexecve") == 0)
        fexecve(open(program, O_RDONLY), words, nothing);
    if (strcmp(how, "posix_spawn") == 0)
        return posix_spawn(&pid, program, NULL, NULL, words, nothing) ? 3 : await(pid);
    if (strcmp(how, "posix_spawnp") == 0)
        return posix_spawnp(&pid, program, NULL, NULL, words, nothing) ? 3 : await(pid);
    if (strcmp(how, "vfork") == 0) {
        pid = vfork();
        if (pid == 0) {
            execve(program, words, nothing);
            _exit(3);
        }
        return await(pid);
    }
    clearenv();
    if (strcmp(how, "execv") == 0)
        execv(program, words);
    if (strcmp(how, "execvp") == 0)
        execvp(program, words);
    if (strcmp(how, "execl") == 0)
        execl(program, program, first, second, (char *)NULL);
    if (strcmp(how, "execlp") == 0)
        execlp(program, program, first, second, (char *)NULL);
    if (strcmp(how, "system") == 0)
        return system(line) == 0 ? 0 : 3;
    if (strcmp(how, "popen") == 0) {
        FILE *output = popen(line, "r");
        int byte;
        while (output && (byte = getc(output)) != EOF)
            putchar(byte);
        return output && pclose(output) == 0 ? 0 : 3;
    }
    return 3;
}
