#include "schema/report.h"

static const CmSql add_report = {
  "report_add",
  "INSERT INTO event_report (kind, reporter, room_id, event_id, user_id, reason, ts)"
  " VALUES ($1, $2, $3, $4, $5, $6, $7)",
};

gboolean
cm_report_add (CmDb *db, const CmReport *report, GError **error)
{
  return cm_db_run (db, &add_report,
                    CM_ARGS (CM_TEXT (report->kind), CM_TEXT (report->reporter),
                             CM_TEXT (report->room_id), CM_TEXT (report->event_id),
                             CM_TEXT (report->user_id), CM_TEXT (report->reason),
                             CM_INT (g_get_real_time () / 1000)),
                    NULL, error);
}
