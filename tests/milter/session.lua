-- Debian's miltertest against served.py: an independent MTA side, which waits for an answer to each step.

local function must(error_text, what)
    if error_text ~= nil then error(what .. ": " .. error_text) end
end

local function is(conn, reply, what)
    if mt.getreply(conn) ~= reply then error(what .. ": reply " .. mt.getreply(conn)) end
end

-- `more` octets of body: this program dies of a new body that is larger than a packet.
local function mail(conn, field, value, more)
    must(mt.mailfrom(conn, "<ann@a.test>", "BODY=8BITMIME"), "MAIL")
    must(mt.rcptto(conn, "<bob@b.test>", "NOTIFY=NEVER"), "RCPT")
    is(conn, SMFIR_CONTINUE, "RCPT")
    must(mt.header(conn, "From", " ann@a.test"), "header")
    must(mt.header(conn, field, value), "header")

    must(mt.bodystring(conn, "some text\r\n"), "body")
    if more then must(mt.bodyrandom(conn, more), "body") end
    must(mt.eom(conn), "end of message")
end

local conn = mt.connect(socket, 40, 0.05)
if conn == nil then error("no connection") end
must(mt.conninfo(conn, "mail.stranger.test", "192.0.2.25"), "connect")
must(mt.macro(conn, SMFIC_CONNECT, "j", "mx.b.test"), "macro")
must(mt.helo(conn, "client.test"), "HELO")
is(conn, SMFIR_CONTINUE, "HELO")

mail(conn, "X-Do", " add X-Lua", 200000)
is(conn, SMFIR_CONTINUE, "add")
if not mt.eom_check(conn, MT_HDRADD, "X-Lua") then error("no field was added") end

mail(conn, "X-Do", " refuse No such luck")
is(conn, SMFIR_REPLYCODE, "refuse")
if not mt.eom_check(conn, MT_SMTPREPLY, "550", "5.7.1", "No such luck") then error("another reply") end

mail(conn, "X-Do", " discard")
is(conn, SMFIR_DISCARD, "discard")

mail(conn, "X-Do", " hold Wait a while")
if not mt.eom_check(conn, MT_QUARANTINE, "Wait a while") then error("not held") end

mail(conn, "X-Do", " footer the end")
if not mt.eom_check(conn, MT_BODYCHANGE) then error("the body was not changed") end

must(mt.mailfrom(conn, "<ann@a.test>"), "MAIL")
must(mt.rcptto(conn, "<refused@b.test>"), "RCPT")
is(conn, SMFIR_REPLYCODE, "RCPT")
must(mt.abort(conn), "abort")

mail(conn, "X-Do", " add X-After-Abort")
if not mt.eom_check(conn, MT_HDRADD, "X-After-Abort") then error("no field was added") end
must(mt.disconnect(conn), "disconnect")
