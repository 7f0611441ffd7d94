"""`/reports` of the demo Customer API: work that is asked for, polled, fetched and cancelled."""

import csv
import io
import time
from typing import Annotated, Final

from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncapiproxy.demo.answers import invalid, json_answer, problem
from asyncapiproxy.demo.reports import DONE_PERCENT, Report, ReportCall
from asyncapiproxy.demo.store import ClientStore

POLL_SECONDS: Final = 1
_LINES_OF_A_PAGE: Final = 50


class NewReport(BaseModel):
    """The body of a `POST /reports`."""

    seconds: Annotated[float, Field(ge=0, le=3600)] = 5


def report_routes(store: ClientStore) -> list[Route]:
    """The routes, over the store."""

    async def start(request: Request) -> Response:
        try:
            new = NewReport.model_validate_json(await request.body() or b"{}")
        except ValidationError as error:
            return invalid(error, "The report is not valid")
        key = request.headers.get("idempotency-key")
        report = await store.start_report(ReportCall(new.seconds, key))
        headers = {"Operation-Location": f"/reports/{report.id}", "Retry-After": str(POLL_SECONDS)}
        return json_answer(_status(report), status=202, headers=headers)

    async def look(request: Request) -> Response:
        report = await store.find_report(request.path_params["report_id"])
        if report is None:
            return problem(404, "There is no report with this id")
        if report.is_cancelled:
            return problem(410, "The report was cancelled")
        if report.percent(time.time()) < DONE_PERCENT:
            headers = {"Retry-After": str(POLL_SECONDS)}
            return json_answer(_status(report), status=202, headers=headers)
        return _finished(report, await store.reported_clients(), request.headers.get("accept", ""))

    async def cancel(request: Request) -> Response:
        await store.cancel_report(request.path_params["report_id"])
        return Response(status_code=204)

    return [
        Route("/reports", start, methods=["POST"]),
        Route("/reports/{report_id}", look),
        Route("/reports/{report_id}", cancel, methods=["DELETE"]),
    ]


def _status(report: Report) -> dict[str, object]:
    return {"id": report.id, "status": "running", "percentComplete": report.percent(time.time())}


def _finished(report: Report, clients: list[tuple[str, str, str]], accept: str) -> Response:
    is_pdf = "application/pdf" in accept
    name = f"clients-{report.id[:8]}.{'pdf' if is_pdf else 'csv'}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Vary": "Accept"}
    if is_pdf:
        return Response(pdf(clients), headers=headers, media_type="application/pdf")
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("id", "email", "name"), *clients])
    return Response(text.getvalue(), headers=headers, media_type="text/csv; charset=utf-8")


def pdf(clients: list[tuple[str, str, str]]) -> bytes:
    """One page that counts the clients and names the newest."""
    lines = [f"{len(clients)} clients", "", *(email for _, email, _ in clients[:_LINES_OF_A_PAGE])]
    shown = b" ".join(b"(%s) Tj T*" % _escaped(line) for line in lines)
    content = b"BT /F 10 Tf 12 TL 40 800 Td " + shown + b" ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources %s >>"
        % b"<< /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
    ]
    written, starts = bytearray(b"%PDF-1.4\n"), list[int]()
    for number, one in enumerate(objects, 1):
        starts.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = len(written)
    written += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    written += b"".join(b"%010d 00000 n \n" % start for start in starts)
    size = len(objects) + 1
    written += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, table)
    return bytes(written)


def _escaped(line: str) -> bytes:
    text = line.encode("latin-1", "replace")
    return text.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
