/* Where messages of g_debug, g_message, g_warning and their kin go: to standard error, coloured
 * text on a terminal and one JSON object a line otherwise (with the priority in front when it is
 * the journal that reads). Control characters are escaped, so that nobody forges a line. Extra
 * fields of g_log_structured become members of the object. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum { CM_LOG_ERROR, CM_LOG_WARNING, CM_LOG_INFO, CM_LOG_DEBUG } CmLogLevel;

typedef enum { CM_LOG_TEXT, CM_LOG_COLOUR, CM_LOG_JSON, CM_LOG_JOURNAL } CmLogFormat;

/* For the whole process, once: messages above @level are dropped. */
void cm_log_start (CmLogLevel level);

/* (transfer full) the line of one message with its newline; apart for tests. @time is in
 * microseconds since 1970. */
char *cm_log_format (CmLogFormat format, GLogLevelFlags flags, const GLogField *fields,
                     gsize n_fields, gint64 time);

G_END_DECLS
