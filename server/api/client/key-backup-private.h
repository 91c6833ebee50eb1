/* What the endpoints of a backup's versions and of its keys share. */
#pragma once

#include "crypto/json.h"
#include "schema/key-backup.h"

G_BEGIN_DECLS

/* "Versions" are numbers to us and texts to clients: what is no number is no version that we gave
 * out. */
gboolean cm_backup_version_parse (const char *text, gint64 *version, GError **error);

/* What a client keeps to itself: an object by the specification, a text of some older clients. It
 * is opaque here (CVE-2021-44538). NULL for anything else. */
const CmJson *cm_backup_opaque (const CmJson *object, const char *key);

G_END_DECLS
