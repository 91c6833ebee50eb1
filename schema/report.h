/* What users reported to the administrators. */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

typedef struct {
  const char *kind; /* event, room, user */
  const char *reporter;
  const char *room_id, *event_id, *user_id, *reason; /* nullable */
} CmReport;

gboolean cm_report_add (CmDb *db, const CmReport *report, GError **error);

G_END_DECLS
