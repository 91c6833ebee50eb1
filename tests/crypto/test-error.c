#include "crypto/error.h"

static void
test_rows (void)
{
  static const struct {
    CmError code;
    const char *errcode;
    unsigned status;
  } rows[] = {
    { CM_ERROR_UNKNOWN, "M_UNKNOWN", 500 },
    { CM_ERROR_FORBIDDEN, "M_FORBIDDEN", 403 },
    { CM_ERROR_NOT_JSON, "M_NOT_JSON", 400 },
    { CM_ERROR_WRONG_METHOD, "M_UNRECOGNIZED", 405 },
    { CM_ERROR_LIMIT_EXCEEDED, "M_LIMIT_EXCEEDED", 429 },
    { CM_ERROR_CANNOT_LEAVE_SERVER_NOTICE_ROOM, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM", 403 },
    { CM_ERROR_CONFIG, "M_UNKNOWN", 500 },
    { CM_ERROR_LAST, "M_UNKNOWN", 500 },
    { (CmError) 9999, "M_UNKNOWN", 500 },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_assert_cmpstr (cm_error_errcode (rows[i].code), ==, rows[i].errcode);
    g_assert_cmpuint (cm_error_status (rows[i].code), ==, rows[i].status);
  }
}

/* A code without its row in the table would pass for M_UNKNOWN; those that mean it are the ones
 * listed. */
static void
test_every_code_has_a_row (void)
{
  static const CmError unknown[] = { CM_ERROR_UNKNOWN,         CM_ERROR_BAD_GATEWAY,
                                     CM_ERROR_GATEWAY_TIMEOUT, CM_ERROR_UNAVAILABLE,
                                     CM_ERROR_DATABASE,        CM_ERROR_CONFLICT,
                                     CM_ERROR_CONFIG };
  guint count = 0;
  for (guint code = 0; code < CM_ERROR_LAST; code++) {
    g_assert_true (g_str_has_prefix (cm_error_errcode (code), "M_"));
    g_assert_cmpuint (cm_error_status (code), >=, 400);
    count += g_str_equal (cm_error_errcode (code), "M_UNKNOWN");
  }
  g_assert_cmpuint (count, ==, G_N_ELEMENTS (unknown));
  for (gsize i = 0; i < G_N_ELEMENTS (unknown); i++)
    g_assert_cmpstr (cm_error_errcode (unknown[i]), ==, "M_UNKNOWN");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/error/rows", test_rows);
  g_test_add_func ("/error/every-code-has-a-row", test_every_code_has_a_row);
  return g_test_run ();
}
