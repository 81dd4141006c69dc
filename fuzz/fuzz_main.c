/*
 * Replays files through a fuzz target where there is no libFuzzer: every argument is a file, or a
 * folder whose files are taken. The target aborts on a fault.
 */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t n_replayed;

static void die(const char *path) {
  perror(path);
  exit(1);
}

/* The input is in a block of just its size, so that a sanitizer sees a byte too far. */
static void replay_file(const char *path, size_t size) {
  uint8_t *data = malloc(size > 0 ? size : 1);
  FILE *file = fopen(path, "rb");
  if (data == NULL || file == NULL || fread(data, 1, size, file) != size)
    die(path);
  fclose(file);
  LLVMFuzzerTestOneInput(data, size);
  free(data);
  n_replayed++;
}

static void replay(const char *path);

static void replay_folder(const char *path) {
  char inner[PATH_MAX];
  DIR *folder = opendir(path);
  if (folder == NULL)
    die(path);
  for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    if (entry->d_name[0] == '.')
      continue;
    snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
    replay(inner);
  }
  closedir(folder);
}

static void replay(const char *path) {
  struct stat info;
  if (stat(path, &info) != 0)
    die(path);
  if (S_ISDIR(info.st_mode))
    replay_folder(path);
  else
    replay_file(path, (size_t)info.st_size);
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    replay(argv[i]);
  printf("%zu inputs replayed\n", n_replayed);
  return n_replayed > 0 ? 0 : 1; /* a replay of nothing shows nothing */
}
