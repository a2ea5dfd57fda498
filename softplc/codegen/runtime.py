"""Run-time helpers for strings, as LLVM IR; what a program does not call is dropped by the optimiser.

A string is u16 length, u16 capacity, then bytes (`iw.str`) or code units of UTF-16 (`iw.wstr`).
"""

from __future__ import annotations

_COPY = r"""
define internal void @iw.copy(ptr %to, ptr %from, i64 %n) nounwind alwaysinline {
entry:
  %less8 = icmp ult i64 %n, 8
  br i1 %less8, label %short, label %long
short:
  %less4 = icmp ult i64 %n, 4
  br i1 %less4, label %tiny, label %fours
tiny:
  %none = icmp eq i64 %n, 0
  br i1 %none, label %done, label %ones
ones:
  %middle = lshr i64 %n, 1
  %last = sub i64 %n, 1
  %from1 = getelementptr i8, ptr %from, i64 %middle
  %from2 = getelementptr i8, ptr %from, i64 %last
  %to1 = getelementptr i8, ptr %to, i64 %middle
  %to2 = getelementptr i8, ptr %to, i64 %last
  %one0 = load i8, ptr %from, align 1, CHARS_TAG
  %one1 = load i8, ptr %from1, align 1, CHARS_TAG
  %one2 = load i8, ptr %from2, align 1, CHARS_TAG
  store i8 %one2, ptr %to2, align 1, CHARS_TAG
  store i8 %one1, ptr %to1, align 1, CHARS_TAG
  store i8 %one0, ptr %to, align 1, CHARS_TAG
  ret void
fours:
  %back4 = sub i64 %n, 4
  %from4 = getelementptr i8, ptr %from, i64 %back4
  %to4 = getelementptr i8, ptr %to, i64 %back4
  %four0 = load i32, ptr %from, align 1, CHARS_TAG
  %four1 = load i32, ptr %from4, align 1, CHARS_TAG
  store i32 %four1, ptr %to4, align 1, CHARS_TAG
  store i32 %four0, ptr %to, align 1, CHARS_TAG
  ret void
long:
  %less17 = icmp ult i64 %n, 17
  br i1 %less17, label %eights, label %move
eights:
  %back8 = sub i64 %n, 8
  %from8 = getelementptr i8, ptr %from, i64 %back8
  %to8 = getelementptr i8, ptr %to, i64 %back8
  %eight0 = load i64, ptr %from, align 1, CHARS_TAG
  %eight1 = load i64, ptr %from8, align 1, CHARS_TAG
  store i64 %eight1, ptr %to8, align 1, CHARS_TAG
  store i64 %eight0, ptr %to, align 1, CHARS_TAG
  ret void
move:
  call void @llvm.memmove.p0.p0.i64(ptr %to, ptr %from, i64 %n, i1 false), CHARS_TAG
  ret void
done:
  ret void
}
"""

_EITHER = r"""
define internal void @FAMILY.append(ptr %d, ptr %s, i64 %start, i64 %count, i64 %cap) nounwind {
  %sl16 = load i16, ptr %s, align 1, LENGTH_TAG
  %sl = zext i16 %sl16 to i64
  %st0 = call i64 @llvm.smax.i64(i64 %start, i64 0)
  %st = call i64 @llvm.smin.i64(i64 %st0, i64 %sl)
  %left = sub i64 %sl, %st
  %c0 = call i64 @llvm.smax.i64(i64 %count, i64 0)
  %c = call i64 @llvm.smin.i64(i64 %c0, i64 %left)
  %body = getelementptr i8, ptr %s, i64 4
  %from = getelementptr UNIT, ptr %body, i64 %st
  call void @FAMILY.units(ptr %d, ptr %from, i64 %c, i64 %cap)
  ret void
}

define internal i64 @FAMILY.capacity(ptr %d) nounwind alwaysinline {
  %capp = getelementptr i8, ptr %d, i64 2
  %cap16 = load i16, ptr %capp, align 1, CAPACITY_TAG
  %cap = zext i16 %cap16 to i64
  ret i64 %cap
}

define internal void @FAMILY.units(ptr %d, ptr %from, i64 %count, i64 %cap) nounwind {
  %dl16 = load i16, ptr %d, align 1, LENGTH_TAG
  %dl = zext i16 %dl16 to i64
  %room = call i64 @llvm.usub.sat.i64(i64 %cap, i64 %dl)
  %n = call i64 @llvm.umin.i64(i64 %count, i64 %room)
  %body = getelementptr i8, ptr %d, i64 4
  %to = getelementptr UNIT, ptr %body, i64 %dl
  %bytes = mul i64 %n, SIZE
  call void @iw.copy(ptr %to, ptr %from, i64 %bytes)
  %end = add i64 %dl, %n
  %end16 = trunc i64 %end to i16
  store i16 %end16, ptr %d, align 1, LENGTH_TAG
  ret void
}

define internal void @FAMILY.char(ptr %d, UNIT %value) nounwind {
  %one = alloca UNIT
  store UNIT %value, ptr %one, align 1, CHARS_TAG
  %cap = call i64 @FAMILY.capacity(ptr %d)
  call void @FAMILY.units(ptr %d, ptr %one, i64 1, i64 %cap)
  ret void
}

define internal void @FAMILY.set(ptr %d, ptr %s, i64 %cap) nounwind {
  %sl16 = load i16, ptr %s, align 1, LENGTH_TAG
  %sl = zext i16 %sl16 to i64
  %n = call i64 @llvm.umin.i64(i64 %sl, i64 %cap)
  %n16 = trunc i64 %n to i16
  store i16 %n16, ptr %d, align 1, LENGTH_TAG
  %bytes = mul i64 %n, SIZE
  %to = getelementptr i8, ptr %d, i64 4
  %from = getelementptr i8, ptr %s, i64 4
  call void @iw.copy(ptr %to, ptr %from, i64 %bytes)
  ret void
}

define internal void @FAMILY.splice(ptr %d, i64 %start, i64 %count, ptr %with, i64 %n, i64 %cap) nounwind {
entry:
  %len16 = load i16, ptr %d, align 1, LENGTH_TAG
  %len = zext i16 %len16 to i64
  %st0 = call i64 @llvm.smax.i64(i64 %start, i64 0)
  %st = call i64 @llvm.umin.i64(i64 %st0, i64 %len)
  %left = sub i64 %len, %st
  %c0 = call i64 @llvm.smax.i64(i64 %count, i64 0)
  %c = call i64 @llvm.umin.i64(i64 %c0, i64 %left)
  %behind = sub i64 %left, %c
  %room = call i64 @llvm.usub.sat.i64(i64 %cap, i64 %st)
  %new = call i64 @llvm.umin.i64(i64 %n, i64 %room)
  %rest = sub i64 %room, %new
  %kept = call i64 @llvm.umin.i64(i64 %behind, i64 %rest)
  %body = getelementptr i8, ptr %d, i64 4
  %at = getelementptr UNIT, ptr %body, i64 %st
  %stays = icmp eq i64 %new, %c
  br i1 %stays, label %put, label %move
move:
  %to = getelementptr UNIT, ptr %at, i64 %new
  %from = getelementptr UNIT, ptr %at, i64 %c
  %moved = mul i64 %kept, SIZE
  call void @llvm.memmove.p0.p0.i64(ptr %to, ptr %from, i64 %moved, i1 false), CHARS_TAG
  %begun = add i64 %st, %new
  %end = add i64 %begun, %kept
  %end16 = trunc i64 %end to i16
  store i16 %end16, ptr %d, align 1, LENGTH_TAG
  br label %put
put:
  %bytes = mul i64 %new, SIZE
  call void @iw.copy(ptr %at, ptr %with, i64 %bytes)
  ret void
}

define internal UNIT @FAMILY.first(ptr %s) nounwind {
  %sl = load i16, ptr %s, align 1, LENGTH_TAG
  %empty = icmp eq i16 %sl, 0
  %body = getelementptr i8, ptr %s, i64 4
  %v = load UNIT, ptr %body, align 1, CHARS_TAG
  %r = select i1 %empty, UNIT 0, UNIT %v
  ret UNIT %r
}

define internal i16 @FAMILY.find(ptr %a, ptr %b) nounwind {
entry:
  %al16 = load i16, ptr %a, align 1, LENGTH_TAG
  %bl16 = load i16, ptr %b, align 1, LENGTH_TAG
  %al = zext i16 %al16 to i64
  %bl = zext i16 %bl16 to i64
  %pa = getelementptr i8, ptr %a, i64 4
  %pb = getelementptr i8, ptr %b, i64 4
  %bytes = mul i64 %bl, SIZE
  %last = sub i64 %al, %bl
  %none = icmp eq i64 %bl, 0
  br i1 %none, label %absent, label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %step ]
  %more = icmp sle i64 %i, %last
  br i1 %more, label %try, label %absent
try:
  %at = getelementptr UNIT, ptr %pa, i64 %i
  %order = call i32 @memcmp(ptr %at, ptr %pb, i64 %bytes)
  %same = icmp eq i32 %order, 0
  %next = add i64 %i, 1
  br i1 %same, label %found, label %step
step:
  br label %head
found:
  %place = trunc i64 %next to i16
  ret i16 %place
absent:
  ret i16 0
}
"""

_WIDE = r"""
define internal i32 @iw.wstr.compare(ptr %a, ptr %b) nounwind {
entry:
  %al = load i16, ptr %a, align 1, LENGTH_TAG
  %bl = load i16, ptr %b, align 1, LENGTH_TAG
  %n16 = call i16 @llvm.umin.i16(i16 %al, i16 %bl)
  %n = zext i16 %n16 to i64
  %pa = getelementptr i8, ptr %a, i64 4
  %pb = getelementptr i8, ptr %b, i64 4
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %same ]
  %more = icmp ult i64 %i, %n
  br i1 %more, label %look, label %prefix
look:
  %ea = getelementptr i16, ptr %pa, i64 %i
  %eb = getelementptr i16, ptr %pb, i64 %i
  %ca = load i16, ptr %ea, align 1, CHARS_TAG
  %cb = load i16, ptr %eb, align 1, CHARS_TAG
  %next = add i64 %i, 1
  %equal = icmp eq i16 %ca, %cb
  br i1 %equal, label %same, label %differ
same:
  br label %head
differ:
  %ca32 = zext i16 %ca to i32
  %cb32 = zext i16 %cb to i32
  %order = sub i32 %ca32, %cb32
  ret i32 %order
prefix:
  %al32 = zext i16 %al to i32
  %bl32 = zext i16 %bl to i32
  %lengths = sub i32 %al32, %bl32
  ret i32 %lengths
}

define internal void @iw.wstr.convert(ptr %d, ptr %s) nounwind {
entry:
  %n16 = load i16, ptr %s, align 1, LENGTH_TAG
  %n = zext i16 %n16 to i64
  %body = getelementptr i8, ptr %s, i64 4
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %step ]
  %more = icmp ult i64 %i, %n
  br i1 %more, label %step, label %end
step:
  %at = getelementptr i8, ptr %body, i64 %i
  %c = load i8, ptr %at, align 1, CHARS_TAG
  %wide = zext i8 %c to i16
  call void @iw.wstr.char(ptr %d, i16 %wide)
  %next = add i64 %i, 1
  br label %head
end:
  ret void
}

define internal void @iw.str.convert(ptr %d, ptr %s) nounwind {
entry:
  %n16 = load i16, ptr %s, align 1, LENGTH_TAG
  %n = zext i16 %n16 to i64
  %body = getelementptr i8, ptr %s, i64 4
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %step ]
  %more = icmp ult i64 %i, %n
  br i1 %more, label %step, label %end
step:
  %at = getelementptr i16, ptr %body, i64 %i
  %c = load i16, ptr %at, align 1, CHARS_TAG
  %foreign = icmp ugt i16 %c, 255
  %low = trunc i16 %c to i8
  %known = select i1 %foreign, i8 63, i8 %low
  call void @iw.str.char(ptr %d, i8 %known)
  %next = add i64 %i, 1
  br label %head
end:
  ret void
}
"""

_NARROW = r"""
declare i32 @memcmp(ptr, ptr, i64)
declare ptr @memchr(ptr, i32, i64)
declare i32 @snprintf(ptr, i64, ptr, ...)
declare double @strtod(ptr, ptr)
@iw.fmt.int = private constant [5 x i8] c"%lld\00"
@iw.fmt.uint = private constant [5 x i8] c"%llu\00"
@iw.fmt.real = private constant [5 x i8] c"%.*g\00"

define internal i32 @iw.str.compare(ptr %a, ptr %b) nounwind {
  %al16 = load i16, ptr %a, align 1, LENGTH_TAG
  %bl16 = load i16, ptr %b, align 1, LENGTH_TAG
  %al = zext i16 %al16 to i64
  %bl = zext i16 %bl16 to i64
  %n = call i64 @llvm.umin.i64(i64 %al, i64 %bl)
  %pa = getelementptr i8, ptr %a, i64 4
  %pb = getelementptr i8, ptr %b, i64 4
  %order = call i32 @memcmp(ptr %pa, ptr %pb, i64 %n)
  %equal = icmp eq i32 %order, 0
  %lengths64 = sub i64 %al, %bl
  %lengths = trunc i64 %lengths64 to i32
  %result = select i1 %equal, i32 %lengths, i32 %order
  ret i32 %result
}

define internal void @iw.str.int(ptr %d, i64 %v) nounwind {
  %buffer = alloca [32 x i8]
  %n = call i32 (ptr, i64, ptr, ...) @snprintf(ptr %buffer, i64 32, ptr @iw.fmt.int, i64 %v)
  %n64 = sext i32 %n to i64
  %cap = call i64 @iw.str.capacity(ptr %d)
  call void @iw.str.units(ptr %d, ptr %buffer, i64 %n64, i64 %cap)
  ret void
}

define internal void @iw.str.uint(ptr %d, i64 %v) nounwind {
  %buffer = alloca [32 x i8]
  %n = call i32 (ptr, i64, ptr, ...) @snprintf(ptr %buffer, i64 32, ptr @iw.fmt.uint, i64 %v)
  %n64 = sext i32 %n to i64
  %cap = call i64 @iw.str.capacity(ptr %d)
  call void @iw.str.units(ptr %d, ptr %buffer, i64 %n64, i64 %cap)
  ret void
}

define internal void @iw.str.real(ptr %d, double %v, i32 %digits) nounwind {
  %buffer = alloca [40 x i8]
  %n = call i32 (ptr, i64, ptr, ...) @snprintf(ptr %buffer, i64 40, ptr @iw.fmt.real, i32 %digits, double %v)
  %n64 = sext i32 %n to i64
  %cap = call i64 @iw.str.capacity(ptr %d)
  call void @iw.str.units(ptr %d, ptr %buffer, i64 %n64, i64 %cap)
  ret void
}

define internal void @iw.str.zero(ptr %buffer, ptr %s) nounwind {
  %sl16 = load i16, ptr %s, align 1, LENGTH_TAG
  %sl = zext i16 %sl16 to i64
  %n = call i64 @llvm.umin.i64(i64 %sl, i64 254)
  %from = getelementptr i8, ptr %s, i64 4
  call void @llvm.memmove.p0.p0.i64(ptr %buffer, ptr %from, i64 %n, i1 false)
  %end = getelementptr i8, ptr %buffer, i64 %n
  store i8 0, ptr %end
  ret void
}

define internal double @iw.str.to_real(ptr %s) nounwind {
  %buffer = alloca [255 x i8]
  call void @iw.str.zero(ptr %buffer, ptr %s)
  %v = call double @strtod(ptr %buffer, ptr null)
  ret double %v
}

"""


def strings(wide: bool, length: str, capacity: str, units: str) -> str:
    """Return the helpers, those for WSTRING where they are needed, with the tags of what they reach."""
    texts = [_COPY, _NARROW, _EITHER.replace("FAMILY", "iw.str").replace("UNIT", "i8").replace("SIZE", "1")]
    if wide:
        texts += [_WIDE, _EITHER.replace("FAMILY", "iw.wstr").replace("UNIT", "i16").replace("SIZE", "2")]
    text = "".join(texts)
    for name, tag in ((", LENGTH_TAG", length), (", CAPACITY_TAG", capacity), (", CHARS_TAG", units)):
        text = text.replace(name, tag)
    return text
