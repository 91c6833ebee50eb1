/* Values of the headers that describe a file. What strangers declared is read strictly, and written
 * such that it can be nothing but one value: a name or type that is odd is encoded or left out,
 * never passed on. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Whether @type is type/subtype with parameters (RFC 9110, 8.3.1), short and without control
 * characters. */
gboolean cm_content_type_is_valid (const char *type);
/* Whether browsers may show it on the spot ("Serving inline content"). */
gboolean cm_content_type_is_inline (const char *type);

/* (transfer full) the value of parameter @name in "value; name=text; other="quoted text"", NULL
 * when it is not there or the header is malformed. */
char *cm_header_param (const char *value, const char *name);

/* (transfer full) the file name in a Content-Disposition, as RFC 6266 says; NULL when there is none
 * or it is no UTF-8. */
char *cm_disposition_file_name (const char *value);
/* (transfer full) a Content-Disposition; @file_name is nullable. */
char *cm_disposition_new (gboolean is_inline, const char *file_name);

G_END_DECLS
