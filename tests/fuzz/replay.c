/* Runs a fuzz target over the files of the folders that are its arguments (those that exist),
 * without libFuzzer. */
#include "tests/fuzz/fuzz.h"

static guint
replay_folder (const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) folder = g_dir_open (path, 0, &error);
  const char *name;
  guint count = 0;

  g_assert_no_error (error);
  while ((name = g_dir_read_name (folder)) != NULL) {
    g_autofree char *file = g_build_filename (path, name, NULL);
    g_autofree char *text = NULL;
    gsize length;

    g_assert_true (g_file_get_contents (file, &text, &length, &error));
    /* A copy of just this size, so that tools which watch memory see a step beyond it. */
    g_autofree guint8 *exact = g_memdup2 (text, length);
    LLVMFuzzerTestOneInput (exact, length);
    count++;
  }
  return count;
}

int
main (int argc, char **argv)
{
  guint count = 0;
  for (int i = 1; i < argc; i++)
    if (g_file_test (argv[i], G_FILE_TEST_IS_DIR))
      count += replay_folder (argv[i]);
  g_assert_cmpuint (count, >, 0);
  return 0;
}
