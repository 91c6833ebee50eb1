#include "crypto/password.h"

#include <string.h>
#include <time.h>

static void
test_round_trip (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *first = cm_password_hash ("correct horse", CM_PASSWORD_COST_MINIMUM, &error);
  g_autofree char *second = cm_password_hash ("correct horse", CM_PASSWORD_COST_MINIMUM, &error);

  g_assert_no_error (error);
  g_assert_true (g_str_has_prefix (first, "$argon2id$"));
  g_assert_cmpstr (first, !=, second);
  g_assert_null (strstr (first, "horse"));
  g_assert_true (cm_password_verify (first, "correct horse"));
  g_assert_false (cm_password_verify (first, "correct hors"));
  g_assert_false (cm_password_verify (first, "correct horse "));
  g_assert_false (cm_password_verify (first, ""));
}

static void
test_interactive_cost (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *hash = cm_password_hash ("x", CM_PASSWORD_COST_INTERACTIVE, &error);

  g_assert_no_error (error);
  g_assert_true (g_str_has_prefix (hash, "$argon2id$v=19$m=65536,t=2,p=1$"));
  g_assert_true (cm_password_verify (hash, "x"));
}

/* An account that does not exist costs what one does: the work is measured in CPU time of this
 * thread against a hash of the minimum cost, which is far below a tenth of it. */
static void
test_no_account_does_the_work (void)
{
  g_autofree char *cheap = cm_password_hash ("x", CM_PASSWORD_COST_MINIMUM, NULL);
  struct timespec start, middle, end;
  double cheap_ns, nobody_ns;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &start);
  g_assert_true (cm_password_verify (cheap, "x"));
  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &middle);
  g_assert_false (cm_password_verify (NULL, "x"));
  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &end);

  cheap_ns = (middle.tv_sec - start.tv_sec) * 1e9 + (middle.tv_nsec - start.tv_nsec);
  nobody_ns = (end.tv_sec - middle.tv_sec) * 1e9 + (end.tv_nsec - middle.tv_nsec);
  g_assert_cmpfloat (nobody_ns, >, 10 * cheap_ns);
}

/* Class password-hash-dos: no megabyte passwords, and no truncation at 72 bytes. */
static void
test_length_password_hash_dos (void)
{
  g_autofree char *longest = g_strnfill (CM_PASSWORD_MAX_BYTES, 'a');
  g_autofree char *too_long = g_strnfill (CM_PASSWORD_MAX_BYTES + 1, 'a');
  g_autofree char *other = g_strnfill (CM_PASSWORD_MAX_BYTES, 'a');
  g_autofree char *hash = cm_password_hash (longest, CM_PASSWORD_COST_MINIMUM, NULL);
  g_autoptr (GError) error = NULL;

  other[CM_PASSWORD_MAX_BYTES - 1] = 'b';
  g_assert_nonnull (hash);
  g_assert_true (cm_password_verify (hash, longest));
  g_assert_false (cm_password_verify (hash, other));
  g_assert_false (cm_password_verify (hash, too_long));

  g_assert_null (cm_password_hash (too_long, CM_PASSWORD_COST_MINIMUM, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM);
  g_clear_error (&error);
  g_assert_null (cm_password_hash ("", CM_PASSWORD_COST_MINIMUM, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM);
}

static void
test_broken_hash (void)
{
  static const char *const hashes[] = {
    "", "x", "$argon2id$", "$argon2id$v=19$m=65536,t=2,p=1$",
    "$2b$12$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  };

  for (gsize i = 0; i < G_N_ELEMENTS (hashes); i++)
    g_assert_false (cm_password_verify (hashes[i], "x"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/password/round-trip", test_round_trip);
  g_test_add_func ("/password/interactive-cost", test_interactive_cost);
  g_test_add_func ("/password/no-account-does-the-work", test_no_account_does_the_work);
  g_test_add_func ("/password/password-hash-dos", test_length_password_hash_dos);
  g_test_add_func ("/password/broken-hash", test_broken_hash);
  return g_test_run ();
}
