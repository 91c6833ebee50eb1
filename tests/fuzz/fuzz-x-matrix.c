#include "tests/fuzz/fuzz.h"

#include "crypto/id.h"
#include "federation/x-matrix.h"

/* Authorization headers: whatever is accepted is well-formed, and can be checked without harm. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (CmXMatrix) header = cm_x_matrix_parse (text, &error);

  FUZZ_EXPECT (!header == !!error);
  if (!header)
    return 0;
  FUZZ_EXPECT (cm_id_is_server_name (header->origin));
  FUZZ_EXPECT (cm_id_is_key (header->key));
  FUZZ_EXPECT (!cm_x_matrix_verify (header, "GET", "/", "here.test", NULL,
                                    "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI", NULL));
  return 0;
}
